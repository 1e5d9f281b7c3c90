from torch import nn

a = nn.Dropout(1 / 2)
b = nn.Dropout(50 / 100)
c = nn.Dropout(10 * 0.01)
