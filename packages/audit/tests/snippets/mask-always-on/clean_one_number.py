import torch
import torch.nn.functional as F
from torch import nn


class LayerDrop(nn.Module):
    def __init__(self, layer, p=0.1):
        super().__init__()
        self.layer = layer
        self.layer_drop = p

    def forward(self, x):
        return x + self.layer(x) * (torch.rand(1) > self.layer_drop)
