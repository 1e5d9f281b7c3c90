from collections import OrderedDict

from torch import nn


class Filled(nn.Module):
    def __init__(self):
        super().__init__()
        layers = OrderedDict()
        layers["fc"] = nn.Linear(8, 8)
        layers["drop"] = nn.Dropout(0.1)
        self.net = nn.Sequential(layers)

    def forward(self, x):
        return self.net(x)


class Kept(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = OrderedDict()
        self.layers["fc"] = nn.Linear(8, 8)
        self.layers["drop"] = nn.Dropout(0.1)
        self.net = nn.Sequential(self.layers)
        self.rates = OrderedDict(drop=0.1)

    def forward(self, x):
        return self.net(x)


class Mapped(nn.Module):
    def __init__(self, rates):
        super().__init__()
        self.drops = nn.ModuleList(map(lambda p: nn.Dropout(p), rates))
        self.makers = list(map(lambda p: (lambda: p), rates))

    def forward(self, x):
        return [drop(x) for drop in self.drops]
