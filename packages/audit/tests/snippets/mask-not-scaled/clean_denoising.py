import torch
import torch.nn.functional as F
from torch import nn


class DAE(nn.Module):
    def __init__(self, dim, corruption_ratio=0.3):
        super().__init__()
        self.linear = nn.Linear(dim, dim)
        self.corruption_ratio = corruption_ratio

    def forward(self, x):
        if self.training:
            x = x * (torch.rand_like(x) > self.corruption_ratio)
        return self.linear(x)
