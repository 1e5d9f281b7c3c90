from torch import nn


def make(keep_prob):
    return nn.Dropout(keep_prob)  #! keep-probability-as-p
