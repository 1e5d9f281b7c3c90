from torch import nn


class NoNorm(nn.Module):
    def __init__(self, dim, dropout=0.1):
        super().__init__()

    def forward(self, x):
        return x


def same(x, dropout):
    return x


def nothing(x, dropout):
    return


def no_loss(x, dropout):
    return 0.0


def later(x, dropout):
    raise NotImplementedError


class Net(nn.Module):
    def __init__(self, dim, p):
        super().__init__()
        self.norm = NoNorm(dim, dropout=p)
        self.p = p

    def forward(self, x):
        x = same(self.norm(x), self.p)
        nothing(x, self.p)
        later(x, self.p)
        return x + no_loss(x, self.p)
