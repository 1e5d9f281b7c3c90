import torch
import torch.nn.functional as F
from torch import nn


def drop_connect(x, p, training=False):
    if not training:
        return x
    mask = torch.floor(1 - p + torch.rand([x.shape[0], 1, 1, 1], device=x.device))
    return x / (1 - p) * mask


class MBConv(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 1)

    def forward(self, x, drop_connect_rate=None):
        y = self.conv(x)
        if self.training and drop_connect_rate:
            y = drop_connect(y, p=drop_connect_rate)  #! local-dropout-without-mode
        return x + y
