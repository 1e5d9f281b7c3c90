from torch import nn


class Act(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = nn.Sigmoid()

    def forward(self, x):
        """Only that."""
        x = self.act(x)
        return x


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.act = Act()
        self.drop = nn.Dropout(p, inplace=True)

    def forward(self, x):
        x = self.act(x)
        x = self.drop(x)  #! inplace-dropout-after-activation
        return x.sum()
