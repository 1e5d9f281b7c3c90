import torch


def cast_dropout(x, drop_prob, training):
    if not training:
        return x
    return x * (torch.rand_like(x.float()) >= drop_prob) / (1 - drop_prob)
