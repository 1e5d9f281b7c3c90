import torch
import torch.nn.functional as F
from torch import nn


class HybridDropout(nn.Module):
    def __init__(self, p=0.2):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        mask = (torch.rand_like(x, dtype=torch.float32) > self.p).float()
        return mask * x / self.p  #! mask-not-scaled
