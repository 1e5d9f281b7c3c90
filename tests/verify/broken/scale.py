"""Broken scales: what is kept is not x / (1 - p)."""

import torch

from verify.broken._common import Module, draw, in_training, select


@in_training
def dropped_to_epsilon(x, p):
    """kept-scale: Dropped values are small, not zero."""
    return torch.where(draw(x, p), 1e-9, select(x, torch.zeros_like(x, dtype=torch.bool), p))


@in_training
def scale_off_by_a_ten_thousandth(x, p):
    """kept-scale: The scale is 0.9999 / (1 - p)."""
    return select(x, draw(x, p), p) * 0.9999


@in_training
def epsilon_in_the_scale(x, p):
    """kept-scale: 1 / (1 - p + 1e-6), against division by zero: shows where p is near 1."""
    return x.masked_fill(draw(x, p), 0) * ((1 / (1 - p + 1e-6)) if 0 < p < 1 else 1.0 - p)


@in_training
def rows_scaled_by_share(x, p):
    """scale-constant: Each row is scaled by the share that was kept in it."""
    drop = draw(x, p)
    if x.ndim < 2 or not 0 < p < 1:
        return select(x, drop, p)
    kept = (~drop).sum(-1, keepdim=True)
    return x.masked_fill(drop, 0) * (x.shape[-1] / kept.clamp_min(1))


class RunningShare(Module):
    """scale-constant: Scaled by a running mean of the share that was kept."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.share = 1 - p

    def forward(self, x):
        if not self.training:
            return x
        drop = draw(x, self.p)
        y = x.masked_fill(drop, 0) * (1 / self.share if self.p < 1 else 0.0)
        if 0 < self.p < 1 and x.numel():
            self.share = 0.99 * self.share + 0.01 * (~drop).double().mean().item()
        return y
