from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop1 = nn.Dropout(p)
        self.drop2 = nn.Dropout(p)

    def forward(self, x):
        for i in (1, 2):
            x = getattr(self, f"drop{i}")(x)
        return x


class Named(nn.Module):
    order = ("fc", "shaken")

    def __init__(self, p):
        super().__init__()
        self.shaken = nn.Dropout(p)

    def forward(self, x):
        return run(x, self.order)
