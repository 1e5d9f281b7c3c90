from torch import nn


class M0(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.net = nn.ModuleDict({"fc": nn.Linear(d, d), "drop": nn.Dropout(p), "bn": nn.BatchNorm1d(d)})
    def forward(self, x):
        x = self.net["bn"](x)
        x = self.net["fc"](x)
        return self.net["drop"](x)


class L1(nn.Module):
    def __init__(self, d, p, ops):
        super().__init__()
        self.ops = ops
        self.net = nn.ModuleDict({"p": nn.Linear(d, d), "b": nn.BatchNorm1d(d), "d": nn.Dropout(p)})
    def forward(self, x):
        for op in self.ops:
            x = self.net[op](x)
        return x
