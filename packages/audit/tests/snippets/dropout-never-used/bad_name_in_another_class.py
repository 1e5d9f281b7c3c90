from torch import nn


class Linear(nn.Module):
    # It looks for a dropout of its own.
    def __init__(self, size, p=0.0):
        super().__init__()
        self.linear = nn.Linear(size, size)
        if p > 0:
            self.dropout = nn.Dropout(p)

    def forward(self, x):
        if hasattr(self, "dropout"):
            x = getattr(self, "dropout")(x)
        return self.linear(x)


class Net(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.linear = Linear(size, 0.1)
        self.dropout = nn.Dropout(0.3)  #! dropout-never-used advice

    def forward(self, x):
        return self.linear(x)
