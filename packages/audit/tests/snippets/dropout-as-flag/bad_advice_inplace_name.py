from torch import nn


def make(inplace):
    return nn.Dropout(inplace)  #! dropout-as-flag advice
