from torch import nn


def checkpoint(function, x, preserve_rng_state=True):
    return function(x)


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)

    def forward(self, x):
        return checkpoint(self.drop, x, preserve_rng_state=False)
