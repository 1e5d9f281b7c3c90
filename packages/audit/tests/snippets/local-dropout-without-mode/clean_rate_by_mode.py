import torch
import torch.nn.functional as F
from torch import nn


def drop_path(x, drop_prob):
    keep_prob = 1.0 - drop_prob
    mask = torch.floor(torch.rand(x.shape[0], 1, 1, 1, device=x.device) + keep_prob)
    return x / keep_prob * mask


class DropPath(nn.Module):
    def __init__(self, drop_prob=None):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        return drop_path(x, self.drop_prob if self.training else 0.0)
