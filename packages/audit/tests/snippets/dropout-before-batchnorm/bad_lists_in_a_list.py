import torch.nn.functional as F
from torch import nn


class M0(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.layers = nn.ModuleList([])
        for _ in range(n):
            self.layers.append(nn.ModuleList([nn.Conv1d(d, d, 3), nn.BatchNorm1d(d), nn.Dropout(p)]))
    def forward(self, x):
        for conv, bn, drop in self.layers:
            x = drop(F.relu(bn(conv(x))))  #! dropout-before-batchnorm advice
        return x


class M1(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.layers = nn.ModuleList([nn.ModuleList([nn.Conv1d(d, d, 3), nn.BatchNorm1d(d), nn.Dropout(p)]) for _ in range(n)])
    def forward(self, x):
        for layer in self.layers:
            x = layer[0](x)
            x = layer[1](x)
            x = layer[2](F.relu(x))  #! dropout-before-batchnorm advice
        return x
