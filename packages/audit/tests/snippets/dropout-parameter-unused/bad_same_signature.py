from torch import nn


class First(nn.Module):
    # Nor does the other class with these parameters use the rate.
    def __init__(
        self,
        size,
        hidden,
        act="relu",
        label_drop=0.1,  #! dropout-parameter-unused advice
    ):
        super().__init__()
        self.linear = nn.Linear(size, hidden)

    def forward(self, x):
        return self.linear(x)


class Second(nn.Module):
    def __init__(
        self,
        size,
        hidden,
        act="relu",
        label_drop=0.1,  #! dropout-parameter-unused advice
    ):
        super().__init__()
        self.linear = nn.Linear(size, 2 * hidden)

    def forward(self, x):
        return self.linear(x)
