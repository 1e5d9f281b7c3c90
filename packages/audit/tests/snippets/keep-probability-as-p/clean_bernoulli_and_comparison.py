import torch
from torch import nn


class Drop(nn.Module):
    def forward(self, x):
        if not self.training or self.keep_prob == 1.0:
            return x
        mask = torch.rand_like(x, dtype=torch.float32) < self.keep_prob
        return x * mask / self.keep_prob
