from torch import nn

from .convert import drop_of


def make(keep_prob):
    return nn.Dropout(drop_of(keep_prob))
