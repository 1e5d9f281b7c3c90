from torch import nn

P = 50
P /= 100
drop = nn.Dropout(P)
