import torch
import torch.nn.functional as F
from torch import nn


def drop_path(x, drop_prob):
    keep_prob = 1.0 - drop_prob
    mask = torch.floor(torch.rand(x.shape[0], 1, 1, 1, device=x.device) + keep_prob)
    return x / keep_prob * mask


class Block(nn.Module):
    def __init__(self, dim, drop_path_prob):
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)
        self.drop_path_prob = drop_path_prob

    def _residual(self, x):
        return drop_path(self.conv(x), self.drop_path_prob)  #! local-dropout-without-mode

    def forward(self, x):
        return x + self._residual(x)
