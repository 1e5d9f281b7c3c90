import torch.nn.functional as F
from torch import nn


def identity(x, p):
    return x


class Net(nn.Module):
    def forward(self, x):
        drop = F.dropout if self.training else identity
        return drop(x, self.p)
