from torch import nn


def make(dropout):
    return nn.Dropout(dropout)
