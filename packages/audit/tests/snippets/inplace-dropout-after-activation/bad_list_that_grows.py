from collections import OrderedDict

from torch import nn


def mlp(widths, p):
    layers = []
    for a, b in zip(widths, widths[1:]):
        layers.append(nn.Linear(a, b))
        layers.append(nn.ReLU())
        layers.append(nn.Dropout(p, inplace=True))  #! inplace-dropout-after-activation
    return nn.Sequential(*layers)


def turned(widths, p):
    layers = [nn.Linear(8, 8)]
    for a, b in zip(widths, widths[1:]):
        layers += [nn.Dropout(p, inplace=True), nn.Linear(a, b), nn.Sigmoid()]  #! inplace-dropout-after-activation
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(8, 2))


class Net(nn.Module):
    def __init__(self, n, p, norm):
        super().__init__()
        blocks = OrderedDict
        self.layers = []
        for i in range(n):
            self.layers.append(nn.Linear(8, 8))
            if norm:
                self.layers.append(nn.BatchNorm1d(8))
            self.layers.append(nn.LeakyReLU(inplace=True))
            if p > 0:
                self.layers.append(nn.Dropout(p, True))  #! inplace-dropout-after-activation #! dropout-before-batchnorm advice
        self.net = nn.Sequential(*self.layers)
        self.tail = nn.Sequential()
        self.tail.add_module("act", nn.Tanh())
        self.tail.add_module("drop", nn.Dropout(0.1, inplace=True))  #! inplace-dropout-after-activation
        named = []
        named.append(("relu", nn.ReLU()))
        named.append(("drop", nn.Dropout(0.1, inplace=True)))  #! inplace-dropout-after-activation
        self.named = nn.Sequential(blocks(named))

        def block(a, b):
            layers = [nn.Linear(a, b)]
            layers.append(nn.ReLU(True))
            layers.extend([nn.Dropout(inplace=True)])  #! inplace-dropout-after-activation
            return layers

        self.head = nn.Sequential(*block(8, 8), *block(8, 8), nn.Linear(8, 1))

    def forward(self, x):
        return self.head(self.named(self.tail(self.net(x))))
