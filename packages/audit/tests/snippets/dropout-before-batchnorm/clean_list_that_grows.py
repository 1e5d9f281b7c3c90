from torch import nn


def make(p, sizes, norm):
    layers = []
    for a, b in sizes:
        layers.append(nn.Linear(a, b))
        if norm == "dropout":
            layers.append(nn.Dropout(p))
        else:
            layers.append(nn.BatchNorm1d(b))
    return nn.Sequential(*layers)


def after(p, dim):
    layers = []
    layers.extend([nn.Linear(dim, dim), nn.BatchNorm1d(dim)])
    layers.append(nn.Dropout(p))
    others = []
    others.append(nn.BatchNorm1d(dim))
    return nn.Sequential(*layers), nn.Sequential(*others)
