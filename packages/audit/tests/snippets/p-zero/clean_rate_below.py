from torch import nn

a = nn.Dropout(0.01)
b = nn.Dropout(1e-9)
