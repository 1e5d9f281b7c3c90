from torch import nn


class Fusion(nn.Module):
    # Its forward takes two inputs: no other class can take its place.
    def __init__(self, size, hidden, act="relu", dropout=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        self.linear = nn.Linear(size, hidden)
        self.act = act

    def forward(self, x, y):
        return self.linear(x + y)


class Plain(nn.Module):
    def __init__(self, size, hidden, act="relu", dropout=0.1):
        super().__init__()
        self.linear = nn.Linear(size, hidden)
        self.act = act
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        return self.drop(self.linear(x))
