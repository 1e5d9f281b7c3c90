from functools import partial

import torch.nn.functional as F
from torch import nn


class M0(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        norm = partial(nn.BatchNorm2d, momentum=0.01)
        self.bn = norm(d)
        self.conv = nn.Conv2d(d, d, 3)
        self.drop = nn.Dropout2d(p)
    def forward(self, x):
        return self.bn(self.conv(self.drop(x)))  #! dropout-before-batchnorm advice


NORMS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
class M1(nn.Module):
    def __init__(self, d, p, norm="batch"):
        super().__init__()
        self.bn = NORMS[norm](d)
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(p)
    def forward(self, x):
        return self.bn(self.fc(self.drop(x)))  #! dropout-before-batchnorm advice


class M2(nn.Module):
    def __init__(self, sizes, p, norm):
        super().__init__()
        self.fcs = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.p = p
        if norm == "layer":
            self.norms = nn.ModuleList(nn.LayerNorm(n) for n in sizes)
        else:
            self.norms = nn.ModuleList(nn.BatchNorm1d(n) for n in sizes)
    def forward(self, x):
        for i, fc in enumerate(self.fcs):
            x = fc(x)
            x = self.norms[i](x)
            x = F.dropout(x, p=self.p, training=self.training)  #! dropout-before-batchnorm advice
        return x


def get_norm3(kind, d):
    if kind == "batch":
        return nn.BatchNorm1d(d)
    elif kind == "layer":
        return nn.LayerNorm(d)
    raise ValueError(kind)
class M3(nn.Module):
    def __init__(self, d, p, norm="batch"):
        super().__init__()
        self.bn = get_norm3(norm, d)
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(p)
    def forward(self, x):
        return self.bn(self.fc(self.drop(x)))  #! dropout-before-batchnorm advice


class M4(nn.Module):
    def __init__(self, d, p, norm="batch"):
        super().__init__()
        if norm == "batch":
            self.norm = nn.BatchNorm1d(d)
        elif norm == "layer":
            self.norm = nn.LayerNorm(d)
        else:
            self.norm = None
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(p)
    def forward(self, x):
        x = self.fc(self.drop(x))  #! dropout-before-batchnorm advice
        if self.norm is not None:
            x = self.norm(x)
        return x


class M5(nn.Module):
    def __init__(self, d, p, BatchNorm):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(d, d, 3), BatchNorm(d), nn.ReLU(), nn.Dropout(p), nn.Conv2d(d, d, 3), BatchNorm(d))  #! dropout-before-batchnorm advice
    def forward(self, x):
        return self.net(x)
