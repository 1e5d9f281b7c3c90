from torch import nn


def make(keep_prob):
    return nn.Dropout(1 - keep_prob)
