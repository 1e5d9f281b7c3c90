import torch
import torch.nn.functional as F
from torch import nn


class Locked(nn.Module):
    def __init__(self, dropout=0.5):
        super().__init__()
        self.dropout = dropout

    def _drop(self, x):
        mask = x.new_empty(x.size(0), 1, x.size(2)).bernoulli_(1 - self.dropout)
        return x.mul_(mask.div_(1 - self.dropout))  #! mask-always-on

    def forward(self, x):
        return self._drop(x)
