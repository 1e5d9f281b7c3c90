import torch
import torch.nn.functional as F
from torch import nn


class Zoneout(nn.Module):
    def __init__(self, drop_prob=0.1):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, new, old):
        if not self.training:
            return old * self.drop_prob + new - self.drop_prob * new
        mask = torch.rand_like(new, dtype=torch.float32) > self.drop_prob
        return new * mask + old * (1 - mask.float()) + old * (~mask)
