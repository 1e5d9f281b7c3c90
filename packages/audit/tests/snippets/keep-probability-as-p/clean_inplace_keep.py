from torch import nn


def make(p, keep_input):
    return nn.Dropout(p, inplace=not keep_input)
