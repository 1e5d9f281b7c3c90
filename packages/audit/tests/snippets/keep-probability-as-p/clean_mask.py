import torch


def mask(x, keep_prob):
    return torch.empty_like(x).bernoulli_(keep_prob) / keep_prob
