import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.options = dict(p=p, training=True)

    def train(self, mode=True):
        self.options["training"] = mode
        return super().train(mode)

    def forward(self, x):
        return F.dropout(x, **self.options)


class Updated(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.given = {"p": p, "training": True}

    def forward(self, x):
        self.given.update(training=self.training)
        return F.dropout(x, **self.given)
