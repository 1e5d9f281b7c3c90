import torch
import torch.nn.functional as F
from torch import nn


def stochastic_depth(x, p, training):
    """As in the paper, p is the probability to survive."""
    if not training:
        return x
    keep = torch.rand(x.shape[0], 1, device=x.device) < p
    return x * keep / p


def thin(x, keep_prob, training):
    return x * torch.bernoulli(torch.full_like(x, keep_prob)) / keep_prob if training else x
