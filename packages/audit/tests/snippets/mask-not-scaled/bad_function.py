import torch
import torch.nn.functional as F
from torch import nn


def drop_path(x, drop_prob, training):
    if drop_prob == 0.0 or not training:
        return x
    keep = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(1 - drop_prob)
    return keep * x  #! mask-not-scaled advice
