from torch import nn

from .blocks import Block


class Inner(nn.Module):
    def __init__(self, keep_prob):
        super().__init__()
        self.p = 1 - keep_prob
        self.drop = nn.Dropout(self.p)

    def forward(self, x):
        return self.drop(x)


class Net(nn.Module):
    def __init__(self, keep_prob):
        super().__init__()
        self.inner = Inner(keep_prob)
        self.block = Block(8, dropout=1 - keep_prob)

    def forward(self, x):
        return self.block(self.inner(x))
