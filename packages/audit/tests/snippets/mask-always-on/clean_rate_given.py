import torch
import torch.nn.functional as F
from torch import nn


class Corrupt(nn.Module):
    def forward(self, x, drop_prob):
        return x * (torch.rand_like(x, dtype=torch.float32) > drop_prob) / (1 - drop_prob)
