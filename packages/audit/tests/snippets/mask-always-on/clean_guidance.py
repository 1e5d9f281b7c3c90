import torch
import torch.nn.functional as F
from torch import nn


class Conditioned(nn.Module):
    def __init__(self, cond_drop_prob=0.1):
        super().__init__()
        self.cond_drop_prob = cond_drop_prob

    def forward(self, x, cond):
        keep = torch.rand(x.shape[0], 1) > self.cond_drop_prob
        return x + cond * keep
