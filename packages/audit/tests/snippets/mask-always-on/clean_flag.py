import torch
import torch.nn.functional as F
from torch import nn


class Encoder(nn.Module):
    def __init__(self, drop_prob=0.1):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x, perturb=False):
        if perturb:
            x = x * (torch.rand_like(x, dtype=torch.float32) > self.drop_prob) / (1 - self.drop_prob)
        return x
