"""Broken edges: p of 0 and 1, and inputs with no, one or few elements."""

import torch

from verify.broken._common import in_training, select


@in_training
def drops_at_zero(x, p):
    """p-zero-identity: `not r > p` with r in multiples of 2^-15: r = 0 is dropped at p=0."""
    return select(x, ~(torch.randint(0, 1 << 15, x.shape, device=x.device) / (1 << 15) > p), p)
