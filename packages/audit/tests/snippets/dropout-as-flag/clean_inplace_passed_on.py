from torch import nn


def make(p, inplace):
    return nn.Dropout(p, inplace)
