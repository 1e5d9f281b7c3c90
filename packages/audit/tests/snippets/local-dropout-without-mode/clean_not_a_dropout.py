import torch
import torch.nn.functional as F
from torch import nn


def drop_columns(x, p=0.5, training=True):
    return x[:, : int(x.size(1) * p)] if training else x


def normalise(x, training=True):
    return x - x.mean() if training else x


class Model(nn.Module):
    def forward(self, x):
        return normalise(x)
