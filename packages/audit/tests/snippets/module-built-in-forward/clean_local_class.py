from torch import nn


class Dropout:
    def __init__(self, p):
        self.p = p

    def __call__(self, x):
        return x * (1 - self.p)


class Net(nn.Module):
    def forward(self, x):
        return Dropout(0.5)(x)
