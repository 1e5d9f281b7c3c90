from torch import nn


class Conv(nn.Module):
    def __init__(self, width, out, use_norm=True):
        super().__init__()
        self.conv = nn.Conv2d(width, out, 1)
        if use_norm:
            self.norm = nn.BatchNorm2d(out)
        else:
            self.norm = None

    def forward(self, x):
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        return x


class Head(nn.Module):
    def __init__(self, width, classes, p):
        super().__init__()
        self.first = Conv(width, width)
        self.drop = nn.Dropout2d(p)
        self.last = Conv(width, classes, use_norm=False)

    def forward(self, x):
        return self.last(self.drop(self.first(x)))


class Mlp(nn.Module):
    def __init__(self, width, p, norm="layer"):
        super().__init__()
        self.p = p
        self.fcs = nn.ModuleList([nn.Linear(width, width) for _ in range(3)])
        if norm == "batch":
            self.norm = nn.BatchNorm1d(width)
        elif norm == "layer":
            self.norm = nn.LayerNorm(width)
        else:
            self.norm = None

    def forward(self, x):
        for fc in self.fcs:
            x = fc(x)
            x = self.norm(x) if self.norm is not None else x
            x = nn.functional.dropout(x, self.p, self.training)
        return x


class Net(nn.Module):
    def __init__(self, width, p):
        super().__init__()
        self.first = Mlp(width, p)
        self.second = Mlp(width, p, norm=None)

    def forward(self, x):
        return self.second(self.first(x))
