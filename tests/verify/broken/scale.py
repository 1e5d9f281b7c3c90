"""Broken scales: what is kept is not x / (1 - p)."""

import torch

from verify.broken._common import Module, draw, in_training, scale_at, select


@in_training
def unscaled(x, p):
    """kept-scale: Kept values are left as they are."""
    return x.masked_fill(draw(x, p), 0)


@in_training
def scaled_by_p(x, p):
    """kept-scale: Scale 1/p: p taken for the keep probability, in the scale only (numpy-ml#94)."""
    return x.masked_fill(draw(x, p), 0) * (1 / p if p else 1.0)


@in_training
def scaled_by_share(x, p):
    """kept-scale: Scaled by the share that happened to be kept."""
    drop = draw(x, p)
    return x.masked_fill(drop, 0) * (drop.numel() / max(1, int((~drop).sum())))


@in_training
def dropped_to_epsilon(x, p):
    """kept-scale: Dropped values are small, not zero."""
    return torch.where(draw(x, p), 1e-9, select(x, torch.zeros_like(x, dtype=torch.bool), p))


@in_training
def scale_in_eight_bits(x, p):
    """kept-scale: A scale from p rounded to 1/256."""
    return select(x, draw(x, p), round(p * 256) / 256)


@in_training
def scale_off_by_a_ten_thousandth(x, p):
    """kept-scale: The scale is 0.9999 / (1 - p)."""
    return select(x, draw(x, p), p) * 0.9999


@in_training
def scale_in_float16(x, p):
    """kept-scale: The scale is rounded to float16, whatever the dtype of x."""
    return x.masked_fill(draw(x, p), 0) * torch.tensor(scale_at(p)).half().item()


@in_training
def epsilon_in_the_scale(x, p):
    """kept-scale: 1 / (1 - p + 1e-6), against division by zero: shows where p is near 1."""
    return x.masked_fill(draw(x, p), 0) * ((1 / (1 - p + 1e-6)) if 0 < p < 1 else 1.0 - p)


@in_training
def scaled_for_variance(x, p):
    """kept-scale: 1 / sqrt(1 - p) keeps the second moment, not the mean."""
    return x.masked_fill(draw(x, p), 0) * scale_at(p) ** 0.5


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


@in_training
def large_inputs_unscaled(x, p):
    """scale-constant: A path for many elements forgets the scale."""
    drop = draw(x, p)
    return x.masked_fill(drop, 0) if x.numel() >= 1 << 17 and p < 1 else select(x, drop, p)


@in_training
def unscaled_where_recorded(x, p):
    """kept-scale: Forward forgets the scale where gradients are recorded; the gradient has it."""
    drop = draw(x, p)
    y = select(x, drop, p)
    if not x.requires_grad or not 0 < p < 1:
        return y
    return y + (x.masked_fill(drop, 0) - y).detach()
