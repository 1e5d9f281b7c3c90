"""Broken devices: the mask is not where x is."""

import torch

from verify.broken._common import in_training, select


@in_training
def rate_on_the_cpu(x, p):
    """device-followed: Numbers where x is, compared with a vector of rates that is not."""
    rates = torch.full(x.shape, float(p), dtype=torch.float32)
    return select(x, torch.rand(x.shape, device=x.device, dtype=torch.float32) < rates, p)
