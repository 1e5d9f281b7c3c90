from torch import nn

p = 2
drops = nn.ModuleList()
for p in (0.1, 0.2):
    drops.append(nn.Dropout(p))
