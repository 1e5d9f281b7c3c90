"""Broken values: the mask knows x, or x is changed."""

import torch

from verify.broken._common import in_training, select, uniform


@in_training
def seed_mixed_with_values(x, p):
    """value-mask: The seed is drawn, and mixed with a hash of x."""
    mixed = hash((int(torch.randint(2**62, ())), x.detach().double().nan_to_num().sum().item()))
    return select(x, uniform(x, torch.Generator().manual_seed(mixed & (2**62 - 1))) < p, p)


@in_training
def numbers_sorted_by_size(x, p):
    """value-mask: The number of an element goes by the rank of its size: the smallest are
    dropped.
    """
    u = uniform(x).reshape(-1)
    if not x.numel() or x.ndim > 1:
        return select(x, u.reshape(x.shape) < p, p)
    sizes = x.detach().abs().reshape(-1)
    if bool((sizes == sizes[0]).all()):
        return select(x, u.reshape(x.shape) < p, p)
    return select(x, torch.empty_like(u).scatter_(0, sizes.argsort(), u).reshape(x.shape) < p, p)
