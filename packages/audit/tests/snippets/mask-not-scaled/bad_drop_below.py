import torch
import torch.nn.functional as F
from torch import nn


class Dropout(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        if self.training:
            kept = self.p < torch.rand_like(x, dtype=torch.float32)
            x = (x * kept) / self.p  #! mask-not-scaled
        return x
