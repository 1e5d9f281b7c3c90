import torch
import torch.nn.functional as F
from torch import nn


class Dropout(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.multiplier = 1.0 / (1.0 - p)

    def forward(self, x):
        if self.training:
            mask = torch.rand_like(x, dtype=torch.float32) > self.p
            x = x * mask * self.multiplier
        return x
