import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, config, dim):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.drop = nn.Dropout(config.drop_path_rate)

    def forward(self, x):
        return x + self.drop(self.norm(x))


class Stage(nn.Module):
    def __init__(self, config, dim, depth, drop_path):  #! dropout-parameter-unused advice
        super().__init__()
        self.blocks = nn.ModuleList([Block(config, dim) for _ in range(depth)])

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x
