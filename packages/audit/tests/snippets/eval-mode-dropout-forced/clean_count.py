from torch import nn


def count(model):
    return sum(type(m) == nn.Dropout for m in model.modules())
