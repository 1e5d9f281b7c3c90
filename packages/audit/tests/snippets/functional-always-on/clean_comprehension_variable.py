import torch.nn.functional as F
from torch import nn

from .backends import BACKENDS


class Net(nn.Module):
    def forward(self, x):
        return F.relu(sum(F.dropout(x, 0.1) for F in BACKENDS))
