import torch
import torch.nn.functional as F
from torch import nn


class B(nn.Module):
    def __init__(self):
        super().__init__()
        self.p = 0.5

    def forward(self, x):
        return F.dropout(x, self.p, training=self.training)


class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.heads = {}  #! module-not-registered
        for i in range(3):
            self.heads[i] = B()

    def forward(self, x):
        return torch.cat([self.heads[i](x) for i in range(3)])
