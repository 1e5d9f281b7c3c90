import torch
from torch import nn


class Residual(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


class Patches(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.project = nn.Sequential(nn.Conv2d(3, d, 8), nn.BatchNorm2d(d))

    def forward(self, x):
        return self.project(x)


# The wrapper before the BatchNorm holds a convolution, the one behind it holds a dropout.
class Net(nn.Sequential):
    def __init__(self, d, p):
        super().__init__(
            Residual(nn.Conv2d(3, 3, 1)),
            Patches(d),
            Residual(nn.Sequential(nn.LayerNorm(d), nn.Linear(d, d), nn.Dropout(p))),
        )


class Attention(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.score = nn.Linear(d, 1)
        self.value = nn.Linear(d, d)
        self.drop = nn.Dropout(p)
        self.bn = nn.BatchNorm1d(d)

    def forward(self, x):
        weights = self.drop(masked_softmax(self.score(x)))
        return self.bn(torch.sum(weights * self.value(x), 1))
