from functools import partial

import torch.nn.functional as F
from torch import nn


class Held(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.drop = partial(F.dropout, p=p)

    def forward(self, x):
        if self.training:
            x = self.drop(x)
        return self.drop(x + 1, training=self.training)


class Bound(nn.Module):
    def forward(self, x):
        drop = partial(F.dropout, p=0.1, training=self.training)
        return drop(x)


class Either(nn.Module):
    def __init__(self, act, p=0.1):
        super().__init__()
        self.act = partial(F.leaky_relu, negative_slope=0.2)
        if act == "none":
            self.act = partial(F.dropout, p=p)  # what is called is not known

    def forward(self, x):
        return self.act(x)
