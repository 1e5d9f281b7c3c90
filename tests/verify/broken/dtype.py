"""Broken dtypes: promoted, or less exact in half precision."""

import torch

from verify.broken._common import (
    check_p,
    custom_gradient,
    draw,
    in_training,
    scale_at,
    select,
    uniform,
)


@in_training
def default_dtype_mask(x, p):
    """dtype-kept: A mask in the default dtype, right as long as that is float32."""
    mask = torch.ones(x.shape, device=x.device).masked_fill(draw(x, p), 0)
    y = x * mask * scale_at(p)
    return y.to(x.dtype) if x.dtype != torch.float32 else y


@in_training
def float32_scale(x, p):
    """dtype-scale: The scale in float32 for float64 values."""
    return select(x.float(), draw(x, p), p).to(x.dtype)


def float_in_eval(x, p, training):
    """dtype-kept: In eval half precision comes back as float32."""
    check_p(p)
    if training:
        return select(x, draw(x, p), p)
    return x.float() if x.dtype.itemsize == 2 else x


@in_training
def p_in_dtype(x, p):
    """dtype-rate: p in the dtype of x, the numbers in float32: .999 is 1 in bfloat16."""
    return select(x, uniform(x) < torch.tensor(p, dtype=x.dtype, device=x.device), p)


@in_training
def seven_bits_for_half(x, p):
    """dtype-rate: Half precision gets 7 random bits an element, others 24."""
    if x.dtype.itemsize != 2:
        return select(x, draw(x, p), p)
    return select(x, torch.randint(0, 128, x.shape, device=x.device) < round(p * 128), p)


@in_training
def float64_at_half_rate(x, p):
    """dtype-rate: A kernel for float64 sees every number twice as large."""
    return select(x, draw(x, p / 2 if x.dtype == torch.float64 and p < 1 else p), p)


@in_training
def bfloat16_through_float16(x, p):
    """dtype-scale: bfloat16 is computed in float16: large values become inf."""
    given = x.half() if x.dtype == torch.bfloat16 else x
    return select(given, draw(x, p), p).to(x.dtype)


@custom_gradient
def half_gradient_of_another_mask(g, x, y, drop, scale):
    """dtype-gradient: In half precision backward draws a mask of its own."""
    if g.dtype.itemsize == 2:
        drop = draw(g, 1 - 1 / scale if scale else 1.0)
    return g.masked_fill(drop, 0) * scale
