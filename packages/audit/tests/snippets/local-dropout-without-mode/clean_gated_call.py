import torch
import torch.nn.functional as F
from torch import nn


def drop_path(x, drop_prob):
    keep_prob = 1.0 - drop_prob
    mask = torch.floor(torch.rand(x.shape[0], 1, 1, 1, device=x.device) + keep_prob)
    return x / keep_prob * mask


class DropPath(nn.Module):
    def __init__(self, drop_prob=0.0):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        if not self.training or self.drop_prob == 0.0:
            return x
        return drop_path(x, self.drop_prob)
