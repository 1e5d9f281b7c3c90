from torch import nn


class M0(nn.Module):
    def __init__(self, sizes, p):
        super().__init__()
        layers = []
        for a, b in zip(sizes, sizes[1:]):
            self._add(layers, a, b, p)
        self.net = nn.Sequential(*layers)
    def _add(self, layers, a, b, p):
        layers.append(nn.Linear(a, b))
        layers.append(nn.BatchNorm1d(b))
        layers.append(nn.ReLU())
        layers.append(nn.Dropout(p))  #! dropout-before-batchnorm advice
    def forward(self, x):
        return self.net(x)


class M1(nn.Module):
    def __init__(self, sizes, p):
        super().__init__()
        self.layers = nn.ModuleList()
        self.p = p
        for a, b in zip(sizes, sizes[1:]):
            self.add_block(a, b)
    def add_block(self, a, b):
        self.layers.append(nn.Linear(a, b))
        self.layers.append(nn.BatchNorm1d(b))
        self.layers.append(nn.ReLU())
        self.layers.append(nn.Dropout(self.p))  #! dropout-before-batchnorm advice
    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def make2(d, n, p):
    layers = nn.ModuleList()
    for _ in range(n):
        layers.append(nn.Sequential(nn.Linear(d, d), nn.BatchNorm1d(d), nn.ReLU(), nn.Dropout(p)))  #! dropout-before-batchnorm advice
    return layers
class M2(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.layers = make2(d, n, p)
    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x
