import torch


def row_dropout(x, keep_prob, training):
    if not training:
        return x
    mask = x.new_empty(x.shape[0], 1).bernoulli_(keep_prob)  # exact in every dtype
    return x * mask / keep_prob
