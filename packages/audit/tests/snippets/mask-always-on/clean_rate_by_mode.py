import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, dropout=0.1):
        super().__init__()
        self.dropout = dropout

    def forward(self, x):
        p = self.dropout if self.training else 0.0
        return x * (torch.rand_like(x, dtype=torch.float32) >= p) / (1 - p)
