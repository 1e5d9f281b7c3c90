import torch
import torch.nn.functional as F
from torch import nn


class GATStack(nn.Module):
    def __init__(
        self,
        dim,
        layers,
        feat_drop=0.0,  #! dropout-parameter-unused advice
        attn_drop=0.0,  #! dropout-parameter-unused advice
    ):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(dim, dim) for _ in range(layers))

    def forward(self, x):
        for layer in self.layers:
            x = F.leaky_relu(layer(x))
        return x
