import torch.nn.functional as F
from torch import nn


class M0(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.net = nn.Sequential(*[nn.Sequential(nn.Linear(d, d), nn.BatchNorm1d(d), nn.ReLU(), nn.Dropout(p)) for _ in range(n)])  #! dropout-before-batchnorm advice
    def forward(self, x):
        return self.net(x)


class B1(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.bn = nn.BatchNorm1d(d)
        self.drop = nn.Dropout(p)
    def forward(self, x):
        return self.drop(F.relu(self.bn(self.fc(x))))  #! dropout-before-batchnorm advice
class M1(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.net = nn.Sequential(*[B1(d, p) for _ in range(n)])
    def forward(self, x):
        return self.net(x)


def net2(sizes, p):
    return nn.Sequential(*[m for a, b in zip(sizes, sizes[1:]) for m in (nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU(), nn.Dropout(p))])  #! dropout-before-batchnorm advice


class M3(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.net = nn.Sequential(*([nn.Linear(d, d), nn.BatchNorm1d(d), nn.ReLU(), nn.Dropout(p)] * n))  #! dropout-before-batchnorm advice
    def forward(self, x):
        return self.net(x)
