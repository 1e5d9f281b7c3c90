from torch import nn


def make_drop(p):
    return nn.Dropout(p)  #! module-built-in-forward


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p
        self.make = lambda: nn.Dropout(p)  #! module-built-in-forward
        self.other = lambda q: nn.Dropout(q)  #! module-built-in-forward

    def forward(self, x):
        x = make_drop(self.p)(x).relu()
        other = self.other(0.1)
        return other(self.make()(x).relu())
