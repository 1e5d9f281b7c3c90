from torch import nn


def make(p):
    return nn.Dropout(p) if p > 0.0 else nn.Identity()
