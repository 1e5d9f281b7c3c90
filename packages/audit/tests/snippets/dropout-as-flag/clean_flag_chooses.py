from torch import nn


def make(use_dropout):
    return nn.Dropout(0.5) if use_dropout else nn.Identity()
