import torch


def drop(x, p, training):
    return torch.alpha_dropout(x, p, training)
