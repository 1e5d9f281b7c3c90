from torch import nn


class Net(nn.Module):
    def __init__(self, p, n):
        super().__init__()
        self.a = [nn.Dropout(p)] if p > 0 else None  #! module-not-registered
        self.b = []  #! module-not-registered
        self.b = self.b + [nn.Dropout(p)]
        if n > 0:
            self.c = [nn.Dropout(p) for _ in range(n)]  #! module-not-registered
        else:
            self.c = []

    def forward(self, x):
        for drop in (*self.b, *self.c):
            x = drop(x).relu()
        return x if self.a is None else self.a[0](x)
