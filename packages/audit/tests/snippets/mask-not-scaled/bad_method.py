import torch
import torch.nn.functional as F
from torch import nn


class Locked(nn.Module):
    def __init__(self, dropout=0.5):
        super().__init__()
        self.dropout = dropout

    def forward(self, x):
        if not self.training:
            return x
        mask = x.new_empty(1, *x.shape[1:]).bernoulli_(1 - self.dropout)
        return x * mask.div_(self.dropout)  #! mask-not-scaled
