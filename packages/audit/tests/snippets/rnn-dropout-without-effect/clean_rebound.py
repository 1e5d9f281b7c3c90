from torch import nn


def make(deep):
    layers = 1
    if deep:
        layers = 3
    return nn.GRU(10, 20, layers, dropout=0.5)
