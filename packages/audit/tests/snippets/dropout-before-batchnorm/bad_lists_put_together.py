from collections import OrderedDict

from torch import nn
import itertools


class M0(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        layers = OrderedDict()
        layers["fc1"] = nn.Linear(d, d)
        layers["drop"] = nn.Dropout(p)  #! dropout-before-batchnorm advice
        layers["fc2"] = nn.Linear(d, d)
        layers["bn"] = nn.BatchNorm1d(d)
        self.net = nn.Sequential(layers)
    def forward(self, x):
        return self.net(x)


class M1(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        head = [nn.Linear(d, d), nn.Dropout(p)]  #! dropout-before-batchnorm advice
        tail = [nn.Linear(d, d), nn.BatchNorm1d(d)]
        self.net = nn.Sequential(*(head + tail))
    def forward(self, x):
        return self.net(x)


class M2(nn.Module):
    def __init__(self, d, p, bn):
        super().__init__()
        layers = [nn.Linear(d, d), nn.Dropout(p), nn.ReLU()]  #! dropout-before-batchnorm advice
        if bn:
            layers.insert(2, nn.BatchNorm1d(d))
        self.net = nn.Sequential(*layers)
    def forward(self, x):
        return self.net(x)


def fc3(i, o, p):
    return [nn.Linear(i, o), nn.BatchNorm1d(o), nn.ReLU(), nn.Dropout(p)]  #! dropout-before-batchnorm advice
def net3(sizes, p):
    return nn.Sequential(*itertools.chain.from_iterable(fc3(a, b, p) for a, b in zip(sizes, sizes[1:])))


def net4(d, p, bn):
    layers = [nn.Linear(d, d), nn.Dropout(p), nn.BatchNorm1d(d) if bn else None, nn.ReLU()]  #! dropout-before-batchnorm advice
    return nn.Sequential(*[layer for layer in layers if layer is not None])


def net5(d, p, bn):
    return nn.Sequential(
        nn.Linear(d, d),
        nn.Dropout(p),  #! dropout-before-batchnorm advice
        *([nn.BatchNorm1d(d)] if bn else []),
        nn.ReLU(),
    )
