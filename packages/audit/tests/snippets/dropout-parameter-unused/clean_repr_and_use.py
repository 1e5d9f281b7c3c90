import torch.nn.functional as F
from torch import nn


class Layer(nn.Module):
    def __init__(self, size, dropout=None):
        super().__init__()
        self.rate = dropout if dropout is not None else 0.1
        self.linear = nn.Linear(size, size)

    def forward(self, x):
        return F.dropout(self.linear(x), self.rate, self.training)

    def extra_repr(self):
        return f"rate={self.rate}"
