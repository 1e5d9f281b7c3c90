import torch
import torch.nn.functional as F
from torch import nn


class Base(nn.Module):
    def __init__(self, dim, activation=None):
        super().__init__()
        self.linear = nn.Linear(dim, dim)
        self.activation = activation or nn.ReLU()

    def forward(self, x):
        return self.activation(self.linear(x))


class Encoder(Base):
    def __init__(self, dim, dropout=0.1, **kwargs):  #! dropout-parameter-unused advice
        super().__init__(dim, **kwargs)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x):
        return self.norm(super().forward(x))
