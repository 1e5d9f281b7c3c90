import torch
import torch.nn.functional as F
from torch import nn


class Base0(nn.Module):
    def forward(self, x):
        x = self.drop(self.conv(x))  #! dropout-before-batchnorm advice
        return self.norm(x)
class M0(Base0):
    def __init__(self, d, p):
        super().__init__()
        self.conv = nn.Conv1d(d, d, 3)
        self.drop = nn.Dropout(p)
        self.norm = nn.BatchNorm1d(d)


class DenseLayer1(nn.Sequential):
    def __init__(self, d, p):
        super().__init__()
        self.add_module("norm", nn.BatchNorm2d(d))
        self.add_module("conv", nn.Conv2d(d, d, 3))
        self.p = p
    def forward(self, x):
        new = super().forward(x)
        new = F.dropout(new, p=self.p, training=self.training)  #! dropout-before-batchnorm advice
        return torch.cat([x, new], 1)
class Dense1(nn.Sequential):
    def __init__(self, d, n, p):
        super().__init__()
        for i in range(n):
            self.add_module("layer%d" % i, DenseLayer1(d, p))


class A2(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(d, d, 1) for _ in range(3)])
        self.project = nn.Sequential(nn.Conv2d(3 * d, d, 1), nn.BatchNorm2d(d), nn.ReLU(), nn.Dropout(0.5))  #! dropout-before-batchnorm advice
    def forward(self, x):
        out = []
        for conv in self.convs:
            out.append(conv(x))
        return self.project(torch.cat(out, 1))
class Head2(nn.Sequential):
    def __init__(self, d):
        super().__init__(A2(d), nn.Conv2d(d, d, 3), nn.BatchNorm2d(d), nn.ReLU())


class Layer3(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.conv = nn.Conv2d(d, d, 3)
        self.p = p
    def forward(self, x):
        return F.dropout(self.conv(x), self.p, training=self.training)  #! dropout-before-batchnorm advice
class Trans3(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.bn = nn.BatchNorm2d(d)
    def forward(self, x):
        return F.avg_pool2d(self.bn(x), 2)
class Net3(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("layer", Layer3(d, p))
        self.features.add_module("trans", Trans3(d))
    def forward(self, x):
        return self.features(x)
