import torch
import torch.nn.functional as F
from torch import nn


class SpatialDropout(nn.Module):
    def __init__(self, drop_rate=0.2):
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x):
        dropped = torch.rand(x.size(0), x.size(1), 1, 1, device=x.device) < self.drop_rate
        return x.masked_fill(dropped, 0) / (1 - self.drop_rate)  #! mask-always-on
