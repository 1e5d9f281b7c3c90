from torch import nn


def make(p):
    return nn.Dropout(p)
