import torch.nn.functional as F
from torch import nn


def use(backend):
    global F
    F = backend


class Net(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.1)
