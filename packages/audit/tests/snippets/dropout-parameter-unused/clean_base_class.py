import torch
import torch.nn.functional as F
from torch import nn


class Base(nn.Module):
    def __init__(self, dim, dropout=0.1):
        super().__init__()
        self.linear = nn.Linear(dim, dim)

    def forward(self, x):
        return self.linear(x)


class Sub(Base):
    def __init__(self, dim, dropout=0.1):
        super().__init__(dim, dropout)
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        return self.drop(super().forward(x))
