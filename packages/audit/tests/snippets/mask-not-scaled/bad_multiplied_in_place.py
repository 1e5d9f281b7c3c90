import torch
import torch.nn.functional as F
from torch import nn


class HeadDropout(nn.Module):
    def __init__(self, p_drop=0.1):
        super().__init__()
        self.p_drop = p_drop

    def forward(self, heads):
        if self.training:
            heads *= torch.rand(heads.shape[:2] + (1, 1), device=heads.device) > self.p_drop  #! mask-not-scaled advice
        return heads
