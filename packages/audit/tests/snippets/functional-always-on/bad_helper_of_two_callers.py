import torch.nn.functional as F
from torch import nn


def noisy(x):
    return F.dropout(x, 0.1)  #! functional-always-on


class A(nn.Module):
    def forward(self, x):
        if self.training:
            x = noisy(x)
        return x


class B(nn.Module):
    # One caller gates it, this one does not.
    def forward(self, x):
        return noisy(x)
