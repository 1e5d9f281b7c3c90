import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, dim, drop_path=0.0):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        # For inference: self.drop_path = DropPath(drop_path)
        self.drop_path = nn.Identity()

    def forward(self, x):
        return x + self.drop_path(self.norm(x))
