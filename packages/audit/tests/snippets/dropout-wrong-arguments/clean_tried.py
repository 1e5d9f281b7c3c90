import torch
import torch.nn.functional as F
from torch import nn


def drop(x, t):
    try:
        return torch.dropout(x, 0.1, training=t)
    except TypeError:
        return torch.dropout(x, 0.1, train=t)
