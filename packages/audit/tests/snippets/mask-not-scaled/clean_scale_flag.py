import torch
import torch.nn.functional as F
from torch import nn


def drop_path(x, drop_prob, training, scale_by_keep=False):
    if not training:
        return x
    keep = x.new_empty((x.shape[0], 1)).bernoulli_(1 - drop_prob)
    if scale_by_keep:
        keep.div_(1 - drop_prob)
    return x * keep
