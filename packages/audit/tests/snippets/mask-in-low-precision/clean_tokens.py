import torch


def masked_tokens(tokens, ratio):  # which tokens are predicted, not a dropout
    return torch.rand_like(tokens) < ratio
