import torch
from torch import nn


def repeat(make, n):
    return nn.ModuleList([make() for _ in range(n)])


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        make = lambda: nn.Dropout(p)
        self.drops = repeat(make, 3)
        self.drop = make()
        self.gated = lambda x: nn.Dropout(p)(x) if self.training else x
        self.probe = (lambda: nn.Dropout(p)(torch.ones(3)).shape)()

    def forward(self, x):
        for drop in self.drops:
            x = drop(x).relu()
        return self.gated(self.drop(x))
