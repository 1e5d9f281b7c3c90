from torch import nn


def make(keep_prob):
    return nn.Dropout(1.0 - keep_prob if keep_prob < 1.0 else 0.0)
