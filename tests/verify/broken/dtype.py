"""Broken dtypes: promoted, or less exact in half precision."""

import torch

from verify.broken._common import draw, in_training, select, uniform


@in_training
def p_in_dtype(x, p):
    """dtype-rate: p in the dtype of x, the numbers in float32: .999 is 1 in bfloat16."""
    return select(x, uniform(x) < torch.tensor(p, dtype=x.dtype, device=x.device), p)


@in_training
def bfloat16_through_float16(x, p):
    """dtype-scale: bfloat16 is computed in float16: large values become inf."""
    given = x.half() if x.dtype == torch.bfloat16 else x
    return select(given, draw(x, p), p).to(x.dtype)
