import torch
from torch import nn


class M0(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.heads = nn.ModuleList([nn.Sequential(nn.BatchNorm1d(d), nn.Linear(d, 2), nn.Dropout(p)) for _ in range(3)])
    def forward(self, x):
        return [head(x) for head in self.heads]


class M1(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(p)
        self.bn = nn.BatchNorm1d(d)
    def forward(self, x):
        a = self.drop(self.fc(x))
        b = self.bn(self.fc(x))
        return torch.cat([a, b], 1)


class M2(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.norm = nn.LayerNorm(d)
        self.bn = nn.BatchNorm1d(d)
    def encode(self, x):
        states = (x,)
        x = self.norm(x)
        return tuple(v for v in [x, states] if v is not None)
    def forward(self, x):
        x = self.drop(x)
        return self.bn(self.encode(x)[0])
