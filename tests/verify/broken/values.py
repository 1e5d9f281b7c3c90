"""Broken values: the mask knows x, or x is changed."""

import torch

from verify.broken._common import draw, in_training, select, uniform


@in_training
def seeded_by_values(x, p):
    """train-stochastic: The seed of a call is a hash of x: the same values, the same mask."""
    seed = hash(x.detach().double().nan_to_num().sum().item()) & (2**62 - 1)
    return select(x, uniform(x, torch.Generator().manual_seed(seed)) < p, p)


@in_training
def seed_mixed_with_values(x, p):
    """value-mask: The seed is drawn, and mixed with a hash of x."""
    mixed = hash((int(torch.randint(2**62, ())), x.detach().double().nan_to_num().sum().item()))
    return select(x, uniform(x, torch.Generator().manual_seed(mixed & (2**62 - 1))) < p, p)


@in_training
def very_negative_values_lost(x, p):
    """value-mask: Values below -1e20 are taken for masked, and dropped."""
    return select(x, draw(x, p) | ((x < -1e20) & (0 < p < 1)), p)


@in_training
def tiny_values_flushed(x, p):
    """value-mask: Values below 1e-20 become 0."""
    tiny = (x.abs() < 1e-20) & (x != 0) & (x.dtype == torch.float32) & (0 < p < 1)
    return select(x, draw(x, p) | tiny, p)


@in_training
def numbers_sorted_by_size(x, p):
    """value-mask: The number of an element goes by the rank of its size."""
    u = uniform(x).reshape(-1)
    if not x.numel() or x.ndim > 1:
        return select(x, u.reshape(x.shape) < p, p)
    sizes = x.detach().abs().reshape(-1)
    if bool((sizes == sizes[0]).all()):
        return select(x, u.reshape(x.shape) < p, p)
    return select(x, torch.empty_like(u).scatter_(0, sizes.argsort(), u).reshape(x.shape) < p, p)


@in_training
def zeros_never_dropped(x, p):
    """grad-at-zero: Zeros are skipped, and so is their gradient."""
    return select(x, draw(x, p) & ((x != 0) | (p == 1)), p)


@in_training
def clamps_to_finite(x, p):
    """nonfinite-kept: The output is clamped to what the dtype can hold."""
    largest = torch.finfo(x.dtype).max
    return select(x, draw(x, p), p).clamp(-largest, largest)


@in_training
def nan_never_dropped(x, p):
    """nonfinite-dropped: The mask is a comparison with x, which NaN fails."""
    return select(x, draw(x, p) & ~torch.isnan(x), p)


@in_training
def numbers_for_nonzeros_first(x, p):
    """value-mask: Values that are not zero are numbered first."""
    order = (x.detach().reshape(-1) == 0).to(torch.int8).argsort(stable=True)
    u = uniform(x).reshape(-1)
    u[order] = u.clone()
    return select(x, u.reshape(x.shape) < p, p)
