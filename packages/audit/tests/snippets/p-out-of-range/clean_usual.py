from torch import nn

a = nn.Dropout(0.5)
b = nn.Dropout(p=1e-3)
c = nn.Dropout()
d = nn.Dropout2d(p=0.999, inplace=True)
