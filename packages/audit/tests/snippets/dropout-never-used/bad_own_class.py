import torch
from torch import nn


class DropPath(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        keep = torch.rand(x.shape[0], device=x.device) >= self.p
        return x * keep if self.training else x  #! mask-not-scaled advice


class Block(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.path: nn.Module = DropPath(p)  #! dropout-never-used advice
        # A docstring or a comment that names self.path is no use of it.

    def forward(self, x):
        """Without path."""
        return x
