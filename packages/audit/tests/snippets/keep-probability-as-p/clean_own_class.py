import torch
from torch import nn


class Dropout(nn.Module):
    def __init__(self, keep_prob):
        super().__init__()
        self.keep_prob = keep_prob

    def forward(self, x):
        if not self.training:
            return x
        return x * torch.bernoulli(torch.full_like(x, self.keep_prob)) / self.keep_prob


def make(keep_prob):
    return Dropout(keep_prob)
