import torch
import torch.nn.functional as F
from torch import nn


class SwiGLU(nn.Module):
    # It takes the place of an MLP, with the same parameters.
    def __init__(self, dim, hidden, act_layer=None, drop=0.0):
        super().__init__()
        self.w12 = nn.Linear(dim, 2 * hidden)
        self.w3 = nn.Linear(hidden, dim)

    def forward(self, x):
        x1, x2 = self.w12(x).chunk(2, dim=-1)
        return self.w3(F.silu(x1) * x2)
