from torch import nn


class Doubled(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = nn.Sigmoid()

    def forward(self, x):
        x = self.act(x)
        return x * 2


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = nn.Sigmoid()

    def forward(self, x):
        y = self.act(x)
        return x


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = nn.Sigmoid()

    def forward(self, x, gate):
        gate = self.act(gate)
        return x * gate


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = nn.Sigmoid()
        self.start = nn.Parameter()

    def forward(self, x):
        return self.act(self.start)


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.doubled, self.unused = Doubled(), Unused()
        self.gated, self.constant = Gated(), Constant()
        self.drop = nn.Dropout(p, inplace=True)

    def forward(self, x):
        a = self.doubled(x)
        a = self.drop(a)
        b = self.unused(x)
        b = self.drop(b)
        c = self.gated(x, x)
        c = self.drop(c)
        d = self.constant(x)
        d = self.drop(d)
        return a + b + c + d
