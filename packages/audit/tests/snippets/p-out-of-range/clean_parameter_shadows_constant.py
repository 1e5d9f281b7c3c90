from torch import nn

P = 50


def make(P):
    return nn.Dropout(P)
