from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)

    def forward(self, x):
        p = self.drop.p
        if not self.training:
            self.drop.p = 0.0
        x = self.drop(x)
        self.drop.p = p
        return x
