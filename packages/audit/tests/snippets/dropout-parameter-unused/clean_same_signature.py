from torch import nn


class First(nn.Module):
    # It takes the place of the other one.
    def __init__(self, size, hidden, act="relu", drop=0.1):
        super().__init__()
        self.linear = nn.Linear(size, hidden)

    def forward(self, x):
        return self.linear(x)


class Second(nn.Module):
    def __init__(self, size, hidden, act="relu", drop=0.1):
        super().__init__()
        self.linear = nn.Linear(size, 2 * hidden)
        self.drop = nn.Dropout(drop)

    def forward(self, x):
        return self.drop(self.linear(x))
