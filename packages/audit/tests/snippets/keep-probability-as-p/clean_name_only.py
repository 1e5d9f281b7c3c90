from torch import nn


def make(drop_prob, keep_prob=None):
    if keep_prob is not None:
        drop_prob = 1 - keep_prob
    return nn.Dropout(drop_prob)
