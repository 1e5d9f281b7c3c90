import torch
import torch.nn.functional as F
from torch import nn


import warnings


class A(nn.Module):
    def __init__(self, dim, dropout=None):
        super().__init__()
        if dropout is not None:
            warnings.warn("dropout is deprecated and has no effect", stacklevel=2)
        self.linear = nn.Linear(dim, dim)


class B(nn.Module):
    def __init__(
        self,
        dim,
        dropout=0.0,  # unused, for compatibility with old checkpoints
    ):
        super().__init__()
        self.linear = nn.Linear(dim, dim)


def build(dim, dropout=0.0):
    """Builds a layer.

    Args:
        dim: The width.
        dropout: Ignored.
    """
    return nn.Linear(dim, dim)
