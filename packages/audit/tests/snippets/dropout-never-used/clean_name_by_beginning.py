from torch import nn


class M0(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.n = n
        self.drop0 = nn.Dropout(p)
        self.drop1 = nn.Dropout(p)
    def forward(self, x):
        for i in range(self.n):
            x = getattr(self, f"drop{i}")(x)
        return x


class M1(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        drop = nn.Dropout(p)
        self.net = nn.Sequential(nn.Linear(d, d), drop)
    def forward(self, x):
        return self.net(x)


class M2(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(p)
    def forward(self, x):
        return self.fc(x)
class N2(nn.Module):
    def __init__(self, m):
        super().__init__()
        self.m = m
    def forward(self, x):
        return self.m.drop(self.m(x))
