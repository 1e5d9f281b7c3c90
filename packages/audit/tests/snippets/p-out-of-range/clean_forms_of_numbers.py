from torch import nn

a = nn.Dropout(5e-1)
b = nn.Dropout(0.1_5)
c = nn.Dropout(+0.5)
d = nn.Dropout(1 - 0.9)
