from torch import nn


def make(p, sizes, use_bn):
    layers = [nn.Linear(8, 8)]
    for a, b in sizes:
        layers.append(nn.Dropout(p))  #! dropout-before-batchnorm advice
        layers += [nn.Linear(a, b)]
        if use_bn:
            layers.append(nn.BatchNorm1d(b))
    return nn.Sequential(*layers)


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.net = nn.Sequential()
        self.net.add_module("fc", nn.Linear(8, 8))
        self.net.add_module("drop", nn.Dropout(p))  #! dropout-before-batchnorm advice
        self.net.add_module("norm", nn.BatchNorm1d(8))

    def forward(self, x):
        return self.net(x)
