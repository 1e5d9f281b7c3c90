import torch
import torch.nn.functional as F
from torch import nn


class DropPath(nn.Module):
    def __init__(self, drop_prob=None):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        return self.drop_path(x, self.drop_prob)

    def drop_path(self, x, drop_prob):
        if drop_prob == 0.0 or not self.training:
            return x
        keep_prob = 1 - drop_prob
        random_tensor = keep_prob + torch.rand((x.shape[0], 1, 1), device=x.device)
        return x.div(keep_prob) * random_tensor.floor_()
