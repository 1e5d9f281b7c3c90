import functools
from functools import partial

import torch.nn.functional as F
from torch import nn

drop = functools.partial(F.dropout, p=0.2)


class Held(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.drop = partial(F.dropout, p=p)

    def forward(self, x):
        return self.drop(x)  #! functional-always-on


class Named(nn.Module):
    def forward(self, x):
        x = drop(x)  #! functional-always-on
        return partial(F.dropout2d, p=0.1, inplace=True)(x + 1)  #! functional-always-on


class Optional(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.drop = None
        if p > 0:
            self.drop = partial(F.dropout, p=p)

    def forward(self, x):
        return x if self.drop is None else self.drop(x)  #! functional-always-on
