from torch import nn


class Net(nn.Module):
    def __init__(self, sizes, p):
        super().__init__()
        self.net = nn.Sequential(*[self._layer(a, b, p) for a, b in sizes])

    def _layer(self, a, b, p):
        drop = nn.Dropout(p)
        return nn.Sequential(nn.Linear(a, b), drop, nn.ReLU())

    def forward(self, x):
        return self.net(x)
