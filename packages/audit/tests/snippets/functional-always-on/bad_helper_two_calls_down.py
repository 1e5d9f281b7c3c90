import torch.nn.functional as F
from torch import nn


def inner(x):
    return F.dropout(x, 0.1)  #! functional-always-on


def outer(x):
    return inner(x) + x


class Net(nn.Module):
    def forward(self, x):
        return outer(x)
