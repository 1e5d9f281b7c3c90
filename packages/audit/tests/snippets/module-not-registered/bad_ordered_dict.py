import collections
from collections import OrderedDict

from torch import nn


class Filled(nn.Module):
    def __init__(self):
        super().__init__()
        self.drops = OrderedDict()  #! module-not-registered
        self.drops["a"] = nn.Dropout(0.1)
        self.drops["b"] = nn.Dropout(0.2)

    def forward(self, x):
        return self.drops["b"](self.drops["a"](x).relu())


class OfPairs(nn.Module):
    def __init__(self, keys):
        super().__init__()
        self.drops = collections.OrderedDict((key, nn.Dropout(0.2)) for key in keys)  #! module-not-registered

    def forward(self, x):
        return [drop(x) for drop in self.drops.values()]


class Mapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.drops = list(map(lambda _: nn.Dropout(0.1), range(3)))  #! module-not-registered

    def forward(self, x):
        return [drop(x) for drop in self.drops]
