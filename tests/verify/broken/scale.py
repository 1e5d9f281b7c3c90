"""Broken scales: what is kept is not x / (1 - p)."""

from verify.broken._common import draw, in_training, select


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
