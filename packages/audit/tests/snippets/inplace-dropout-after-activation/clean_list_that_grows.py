from torch import nn


def mlp(widths, p, act):
    layers = []
    for a, b in zip(widths, widths[1:]):
        layers.append(nn.ReLU())
        layers.append(nn.Linear(a, b))
        layers.append(nn.Dropout(p, inplace=True))
    return nn.Sequential(*layers)


def chosen(p, act):
    layers = [nn.Linear(8, 8), act()]
    layers.append(nn.Dropout(p, inplace=True))
    layers.append(nn.ReLU())
    layers = layers[:-1]
    layers.append(nn.Dropout(p))
    return nn.Sequential(*layers)


def inserted(p):
    layers = [nn.Linear(8, 8), nn.ReLU()]
    layers.insert(2, nn.Linear(8, 8))
    layers.append(nn.Dropout(p, inplace=True))
    return nn.Sequential(*layers)


def finished(add, p):
    layers = [nn.ReLU()]
    add(layers)
    layers.append(nn.Dropout(p, inplace=True))
    return nn.Sequential(*layers)


class Net(nn.Module):
    def __init__(self, p, n):
        super().__init__()
        self.layers = nn.ModuleList()
        for _ in range(n):
            self.layers.append(nn.ReLU())
            self.layers.append(nn.Dropout(p, inplace=True))  # not applied in this order
        branches = []
        if n > 1:
            branches.append(nn.ReLU())
        else:
            branches.append(nn.Dropout(p, inplace=True))
        self.branch = nn.Sequential(nn.Linear(8, 8), *branches)

    def forward(self, x):
        return self.branch(x)
