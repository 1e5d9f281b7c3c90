"""Broken layouts: other memory, other values, rate or mask."""

from verify.broken._common import draw, in_training, select


@in_training
def strided_second_half_kept(x, p):
    """layout-rate: The second half of a strided input is never reached."""
    drop = draw(x, p)
    if 0 < p < 1 and x.ndim == 4 and not x.is_contiguous():
        drop[x.shape[0] // 2 :] = False
    return select(x, drop, p)
