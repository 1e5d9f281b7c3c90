import torch
import torch.nn.functional as F
from torch import nn


class Router(nn.Module):
    def __init__(self, drop_prob=0.1):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, gates):
        if self.training:
            gates = gates * (torch.rand_like(gates, dtype=torch.float32) > self.drop_prob)
        return F.normalize(gates, p=1, dim=-1)
