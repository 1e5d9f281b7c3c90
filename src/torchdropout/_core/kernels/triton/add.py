"""`dropout_add` in Triton: `y = residual + (keep ? (x + bias) * scale : 0)`.

Each operation is rounded by itself in the compute type, and the last sum to the type of y.
"""

# Triton reads the annotations of a kernel: no `from __future__ import annotations` here.

from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from ...contract.keep import PER_BLOCK, compute_dtype
from .bernoulli import high_and_low, keep_of, keep_of_chunk
from .walk import (
    at,
    bits,
    in_row,
    key_of,
    number,
    places,
    rounded,
    row_and_chunk,
    seed_and_stream,
    walk,
    wide,
)

# Numbers that differ from call to call: a kernel is not compiled again for some of their values.
NUMBERS = ["seed", "stream", "tie", "low", "scale", "base"]


@triton.jit
def value(x, residual, bias, keep, scale, TYPE: tl.constexpr, BIAS: tl.constexpr):
    """The bits of the result; TYPE is that of the residual."""
    F: tl.constexpr = tl.float64 if TYPE == tl.float64 else tl.float32
    y = x.to(F)
    if BIAS:
        y = y + bias.to(F)
    return rounded(residual.to(F) + tl.where(keep, y * number(scale, F), 0.0), TYPE)


@triton.jit(do_not_specialize=[*NUMBERS, "chunks", "n"])
def in_rows(
    X,
    RESIDUAL,
    BIASES,
    Y,
    seed: "i64",
    stream: "i64",
    tie: "i32",
    low: "i32",
    scale: "i64",
    base: "i64",
    chunks: "i64",
    n: "i64",
    sizes,
    steps_x,
    steps_residual,
    steps_bias,
    steps_y,
    steps_mask,
    BLOCKS: tl.constexpr,
    ONE: tl.constexpr,
    ALIGNED: tl.constexpr,
    SHARED: tl.constexpr,
    TIES: tl.constexpr,
    BIAS: tl.constexpr,
):
    """A program has up to 8 * BLOCKS elements of a row, from one whose index is divisible by 8."""
    seed, stream = key_of(seed, stream)
    base, n = wide(base), wide(n)
    row, chunk = row_and_chunk(chunks, ONE)
    if not ONE:
        X += at(row, sizes, steps_x)
        RESIDUAL += at(row, sizes, steps_residual)
        BIASES += at(row, sizes, steps_bias)
        Y += at(row, sizes, steps_y)
        base += at(row, sizes, steps_mask)
    start = chunk * (8 * BLOCKS)
    if not ALIGNED:
        start -= base & 7
    i = tl.arange(0, 8 * BLOCKS)
    TYPE: tl.constexpr = RESIDUAL.dtype.element_ty
    # It is written twice, so that work needed only at the ends of a row is not done elsewhere.
    if (start >= 0) & (start + 8 * BLOCKS <= n):
        x = tl.load(X + start + i)
        residual = tl.load(RESIDUAL + start + i)
        bias = tl.load(BIASES + start + i) if BIAS else x
        keep = keep_of_chunk(seed, stream, tie, low, base, chunk, BLOCKS, SHARED, TIES)
        tl.store(Y + start + i, value(x, residual, bias, keep, scale, TYPE, BIAS))
    else:
        inside = in_row(i, start, n)
        x = tl.load(X + start + i, mask=inside)
        residual = tl.load(RESIDUAL + start + i, mask=inside)
        bias = tl.load(BIASES + start + i, mask=inside) if BIAS else x
        keep = keep_of_chunk(seed, stream, tie, low, base, chunk, BLOCKS, SHARED, TIES)
        y = value(x, residual, bias, keep, scale, TYPE, BIAS)
        tl.store(Y + start + i, y, mask=inside)


@triton.jit(do_not_specialize=[*NUMBERS, "n"])
def in_places(
    X,
    RESIDUAL,
    BIASES,
    Y,
    seed: "i64",
    stream: "i64",
    tie: "i32",
    low: "i32",
    scale: "i64",
    base: "i64",
    n: "i64",
    sizes,
    steps_x,
    steps_residual,
    steps_bias,
    steps_y,
    steps_mask,
    PLACES: tl.constexpr,
    WIDE: tl.constexpr,
    BIAS: tl.constexpr,
):
    """A program has PLACES elements of tensors of any strides."""
    seed, stream = key_of(seed, stream)
    base, n = wide(base), wide(n)
    i, inside = places(n, PLACES, WIDE)
    x = tl.load(X + at(i, sizes, steps_x), mask=inside)
    residual = tl.load(RESIDUAL + at(i, sizes, steps_residual), mask=inside)
    bias = tl.load(BIASES + at(i, sizes, steps_bias), mask=inside) if BIAS else x
    keep = keep_of(seed, stream, tie, low, base + at(i, sizes, steps_mask))
    y = value(x, residual, bias, keep, scale, RESIDUAL.dtype.element_ty, BIAS)
    tl.store(Y + at(i, sizes, steps_y), y, mask=inside)


def dropout_add(
    x: torch.Tensor,
    key: torch.Tensor,
    residual: torch.Tensor,
    bias: torch.Tensor | None,
    p: float,
    scale: float,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """As `kernels.add.dropout_add`, of one key."""
    tie, low = high_and_low(p)
    numbers = (
        *seed_and_stream(key),
        tie,
        low,
        bits(scale, compute_dtype(x.dtype)),
        base,
    )
    read = x, residual, x if bias is None else bias.expand(x.shape)
    of_rows, biased = {"TIES": low != 0}, bias is not None
    y = torch.empty_like(residual)
    return walk(y, read, strides, numbers, PER_BLOCK, in_rows, in_places, of_rows, BIAS=biased)
