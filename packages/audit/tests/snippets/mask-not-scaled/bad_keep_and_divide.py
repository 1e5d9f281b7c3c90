import torch
import torch.nn.functional as F
from torch import nn


def weight_dropout(weight, p_drop, train):
    if train:
        keep = torch.rand_like(weight, dtype=torch.float32) < 1 - p_drop
        weight = weight * keep
        weight /= p_drop  #! mask-not-scaled
    return weight
