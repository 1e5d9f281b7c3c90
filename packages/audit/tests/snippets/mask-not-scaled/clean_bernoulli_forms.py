import torch
from torch import nn


class Ones(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        dropout_rate = self.p
        if self.training:
            mask = torch.bernoulli(torch.ones_like(x) * (1 - dropout_rate))
            return x * mask / (1 - dropout_rate)
        return x


class InEvaluation(nn.Module):
    # As the dropout of 2014: evaluation multiplies by the probability to keep.
    def __init__(self, drop_rate=0.5):
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x):
        if self.training:
            return x * torch.full_like(x, 1 - self.drop_rate).bernoulli()
        return x * (1 - self.drop_rate)
