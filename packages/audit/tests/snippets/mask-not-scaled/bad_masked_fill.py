import torch
import torch.nn.functional as F
from torch import nn


class Dropout2d(nn.Module):
    def __init__(self, drop_rate=0.2):
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x):
        if not self.training:
            return x
        dropped = torch.rand(x.shape[:2], device=x.device) < self.drop_rate
        return x.masked_fill(dropped.unsqueeze(-1), 0.0)  #! mask-not-scaled advice
