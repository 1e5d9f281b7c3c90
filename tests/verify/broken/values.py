"""Broken values: the mask knows x, or x is changed."""

import torch

from verify.broken._common import in_training, select, uniform


@in_training
def seed_mixed_with_values(x, p):
    """value-mask: The seed is drawn, and mixed with a hash of x."""
    mixed = hash((int(torch.randint(2**62, ())), x.detach().double().nan_to_num().sum().item()))
    return select(x, uniform(x, torch.Generator().manual_seed(mixed & (2**62 - 1))) < p, p)
