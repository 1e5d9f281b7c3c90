import torch
import torch.nn.functional as F
from torch import nn


def attention(q, k, v, dropout=0.0): ...


def flash_attention(q, k, v, dropout_p=0.0):
    """Needs a GPU."""
    raise RuntimeError("flash attention is not installed")


class NoNorm(nn.Module):
    def __init__(self, dim, dropout=0.1):
        super().__init__()

    def forward(self, x, drop=0.0):
        return x
