"""Broken layouts: other memory, other values, rate or mask."""

import torch

from verify.broken._common import draw, in_training, select


@in_training
def channels_last_read_as_first(x, p):
    """layout-values: A channels_last input is walked through in memory order and written in
    logical order.
    """
    last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
    if last and not x.is_contiguous():
        x = x.permute(0, 2, 3, 1).reshape(x.shape)
    return select(x, draw(x, p), p)


@in_training
def strided_second_half_kept(x, p):
    """layout-rate: The second half of a strided input is never reached."""
    drop = draw(x, p)
    if 0 < p < 1 and x.ndim == 4 and not x.is_contiguous():
        drop[x.shape[0] // 2 :] = False
    return select(x, drop, p)


@in_training
def base_of_an_expanded_input(x, p):
    """expanded-independent: An expanded first axis is dropped before it is expanded."""
    shared = x.ndim == 2 and x.stride(0) == 0 and x.shape[0] > 1
    return select(x, draw(x[:1], p) if shared else draw(x, p), p)
