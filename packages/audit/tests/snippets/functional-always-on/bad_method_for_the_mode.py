import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p

    def forward(self, x):
        return F.dropout(x, self.p, self.train)  #! functional-always-on

    def head(self, x):
        return F.dropout(x, p=0.5, training=self.train())  #! functional-always-on


class Own(nn.Module):
    def __init__(self, p=0.1, train=True):
        super().__init__()
        self.p = p
        self.train = train

    def forward(self, x):
        return F.dropout(x, self.p, self.train)
