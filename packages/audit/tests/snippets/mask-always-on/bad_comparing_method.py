import torch
from torch import nn


class DropRows(nn.Module):
    def __init__(self, drop_rate=0.5):
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x):
        keep = torch.rand(x.shape[0], 1, device=x.device).ge(self.drop_rate)
        return x * keep / (1 - self.drop_rate)  #! mask-always-on


class Filled(nn.Module):
    def __init__(self, drop_rate=0.5):
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x):
        x = x.masked_fill(torch.rand_like(x).lt(self.drop_rate), 0.0)  #! mask-always-on
        return x / (1 - self.drop_rate)
