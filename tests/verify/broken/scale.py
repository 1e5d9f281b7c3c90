"""Broken scales: what is kept is not x / (1 - p)."""

import torch

from verify.broken._common import Module, draw, in_training, scale_at, select


@in_training
def unscaled(x, p):
    """Kept values are left as they are.

    Trips: kept-scale
    """
    return x.masked_fill(draw(x, p), 0)


@in_training
def scaled_by_p(x, p):
    """Scale 1/p: p taken for the keep probability, in the scale only (numpy-ml#94).

    Trips: kept-scale
    """
    return x.masked_fill(draw(x, p), 0) * (1 / p if p else 1.0)


@in_training
def scaled_by_share(x, p):
    """Scaled by the share that happened to be kept.

    Trips: kept-scale
    """
    drop = draw(x, p)
    return x.masked_fill(drop, 0) * (drop.numel() / max(1, int((~drop).sum())))


@in_training
def dropped_to_epsilon(x, p):
    """Dropped values are small, not zero.

    Trips: kept-scale
    """
    return torch.where(draw(x, p), 1e-9, select(x, torch.zeros_like(x, dtype=torch.bool), p))


@in_training
def scale_in_eight_bits(x, p):
    """A scale from p rounded to 1/256.

    Trips: kept-scale
    """
    return select(x, draw(x, p), round(p * 256) / 256)


@in_training
def scale_off_by_a_ten_thousandth(x, p):
    """The scale is 0.9999 / (1 - p).

    Trips: kept-scale
    """
    return select(x, draw(x, p), p) * 0.9999


@in_training
def scale_in_float16(x, p):
    """The scale is rounded to float16, whatever the dtype of x.

    Trips: kept-scale
    """
    return x.masked_fill(draw(x, p), 0) * torch.tensor(scale_at(p)).half().item()


@in_training
def epsilon_in_the_scale(x, p):
    """1 / (1 - p + 1e-6), against division by zero: shows where p is near 1.

    Trips: kept-scale
    """
    return x.masked_fill(draw(x, p), 0) * ((1 / (1 - p + 1e-6)) if 0 < p < 1 else 1.0 - p)


@in_training
def scaled_for_variance(x, p):
    """1 / sqrt(1 - p) keeps the second moment, not the mean.

    Trips: kept-scale
    """
    return x.masked_fill(draw(x, p), 0) * scale_at(p) ** 0.5


@in_training
def rows_scaled_by_share(x, p):
    """Each row is scaled by the share that was kept in it.

    Trips: scale-constant
    """
    drop = draw(x, p)
    if x.ndim < 2 or not 0 < p < 1:
        return select(x, drop, p)
    kept = (~drop).sum(-1, keepdim=True)
    return x.masked_fill(drop, 0) * (x.shape[-1] / kept.clamp_min(1))


class RunningShare(Module):
    """Scaled by a running mean of the share that was kept.

    Trips: scale-constant
    """

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
    """A path for many elements forgets the scale.

    Trips: scale-constant
    """
    drop = draw(x, p)
    return x.masked_fill(drop, 0) if x.numel() >= 1 << 17 and p < 1 else select(x, drop, p)


@in_training
def unscaled_where_recorded(x, p):
    """The forward pass that records gradients forgets the scale; the gradient has it.

    Trips: kept-scale
    """
    drop = draw(x, p)
    y = select(x, drop, p)
    if not x.requires_grad or not 0 < p < 1:
        return y
    return y + (x.masked_fill(drop, 0) - y).detach()
