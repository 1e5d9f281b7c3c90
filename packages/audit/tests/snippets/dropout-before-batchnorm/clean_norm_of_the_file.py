import torch
import torch.nn.functional as F
from torch import nn


class LayerNorm0(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.g = nn.Parameter(torch.ones(d))
    def forward(self, x):
        return (x - x.mean(1)) / x.var(1) * self.g
class M0(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.norm = LayerNorm0(d)
        self.bn = nn.BatchNorm1d(d)
    def forward(self, x):
        return self.bn(self.norm(self.drop(x)))


class M1(nn.Module):
    def __init__(self, d, p, norm_layer=nn.LayerNorm):
        super().__init__()
        self.norm = norm_layer(d)
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(p)
        self.bn = nn.BatchNorm1d(3)
    def forward(self, x, y):
        return self.norm(self.fc(self.drop(x))) + self.bn(y)


class M2(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.layers = nn.ModuleList([nn.ModuleList([nn.Conv1d(d, d, 3), nn.LayerNorm(d), nn.Dropout(p)]) for _ in range(n)])
        self.bn = nn.BatchNorm1d(d)
        self.ln = nn.LayerNorm(d)
    def forward(self, x):
        x = self.bn(x)
        for conv, ln, drop in self.layers:
            x = drop(F.relu(ln(conv(x))))
        return self.ln(x)
