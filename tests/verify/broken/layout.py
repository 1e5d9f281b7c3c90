"""Broken layouts: other memory, other values, rate or mask."""

import torch
from torch.nn import functional as F

from verify.broken._common import draw, in_training, select


@in_training
def memory_order(x, p):
    """layout-values: Reads the memory of x as if it were contiguous."""
    if x.requires_grad or (x._base is None and x.is_contiguous()):
        return select(x, draw(x, p), p)
    values = torch.as_strided(x, (x.untyped_storage().nbytes() // x.element_size(),), (1,), 0)
    values = values[: x.numel()].repeat(x.numel() // values[: x.numel()].numel() + 1)[: x.numel()]
    return select(values.reshape(x.shape), draw(x, p), p)


@in_training
def memory_order_mask(x, p):
    """layout-mask: torch's dropout: the mask in the order of memory. Values are selected."""
    return select(x, F.dropout(torch.ones_like(x, dtype=torch.float32), p) == 0, p)


@in_training
def views_as_a_vector(x, p):
    """layout-values: `view` where `reshape` is meant."""
    return select(x.view(-1), draw(x.view(-1), p), p).view(x.shape)


@in_training
def channels_last_read_as_first(x, p):
    """layout-values: channels_last is read in the order of memory, written in the logical one."""
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
