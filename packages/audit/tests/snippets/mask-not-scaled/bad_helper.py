import torch
import torch.nn.functional as F
from torch import nn


class RNN(nn.Module):
    def __init__(self, dim, dropout=0.1):
        super().__init__()
        self.cell = nn.GRUCell(dim, dim)
        self.dropout = dropout

    def _mask(self, h):
        return torch.bernoulli(torch.full_like(h, 1 - self.dropout))

    def forward(self, steps, h):
        mask = torch.bernoulli(torch.full_like(h, 1 - self.dropout))
        for x in steps:
            h = self.cell(x, h)
            if self.training:
                h = h * mask  #! mask-not-scaled advice
        return h
