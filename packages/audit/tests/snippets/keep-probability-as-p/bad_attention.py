from torch import nn


def make(keep_prob):
    return nn.MultiheadAttention(64, 8, dropout=keep_prob)  #! keep-probability-as-p
