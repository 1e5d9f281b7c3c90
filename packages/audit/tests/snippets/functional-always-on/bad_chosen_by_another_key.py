import torch.nn.functional as F
from torch import nn


class Table(nn.Module):
    def hot(self, x):
        return F.dropout(x, 0.1)  #! functional-always-on

    def cold(self, x):
        return x

    def forward(self, x, i):
        return {0: self.hot, 1: self.cold}[i](x)


class Part(nn.Module):
    def forward(self, x, train_nodes):
        return F.dropout(x, 0.1)[train_nodes]  #! functional-always-on


class Kept(nn.Module):
    def __init__(self):
        super().__init__()
        self.step = self.hot

    def hot(self, x):
        return F.dropout(x, 0.1)  #! functional-always-on

    def forward(self, x):
        return self.step(x)
