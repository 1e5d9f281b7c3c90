import math

from torch import nn

drops = nn.ModuleList(nn.Dropout(i / 10) for i in range(10))
last = nn.Dropout(1 - math.exp(-2))
