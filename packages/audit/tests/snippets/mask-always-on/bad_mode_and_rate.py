import torch.nn.functional as F
from torch import nn


class VariationalDropout(nn.Module):
    def __init__(self, dropout=0.5):
        super().__init__()
        self.dropout = dropout

    def forward(self, x):
        # It drops in evaluation, unless the rate is 0: `or` was meant.
        if not self.training and not self.dropout:
            return x
        m = x.new(1, x.size(1), x.size(2)).bernoulli_(1 - self.dropout)
        mask = m / (1 - self.dropout)
        return mask * x  #! mask-always-on


class Functional(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training and self.p == 0:
            return x
        return F.dropout(x, self.p)  #! functional-always-on
