import torch
import torch.nn.functional as F
from torch import nn


class P0(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.net = nn.ModuleList()
        for _ in range(n):
            self.net += [nn.Sequential(nn.Conv1d(d, d, 3), nn.BatchNorm1d(d), nn.Tanh())]
        self.net += [nn.Sequential(nn.Conv1d(d, d, 3), nn.BatchNorm1d(d), nn.Dropout(p))]
    def forward(self, x):
        for i in range(len(self.net)):
            x = self.net[i](x)
        return x


class P1(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.n = n
        self.convs = nn.ModuleList([nn.Conv1d(d, d, 3) for _ in range(n)])
        self.bn = nn.BatchNorm1d(d)
        self.drop = nn.Dropout(p)
    def forward(self, x):
        for i, conv in enumerate(self.convs):
            x = self.bn(conv(x))
            if i < self.n - 1:
                x = torch.tanh(x)
            else:
                x = self.drop(x)
        return x


class M2(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.n = n
        for i in range(n):
            setattr(self, f"fc{i}", nn.Linear(d, d))
            setattr(self, f"bn{i}", nn.BatchNorm1d(d))
        self.drop = nn.Dropout(p)
    def forward(self, x):
        for i in range(self.n):
            x = getattr(self, f"fc{i}")(x)
            x = F.relu(getattr(self, f"bn{i}")(x))
        return self.drop(x)
