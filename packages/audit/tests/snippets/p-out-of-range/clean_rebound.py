from torch import nn

p = 50
p = p / 100
drop = nn.Dropout(p)
