"""`masked_by_rates` in Triton: `y = keep ? x * scale : 0`, with a p for each element.

Threshold and scale of each are computed in float64, as the contract says.
"""

# Triton reads the annotations of a kernel: no `from __future__ import annotations` here.

from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from ...contract.keep import PER_BLOCK
from .bernoulli import HIGH, LOW, half, halves
from .walk import (
    TYPES,
    at,
    in_row,
    key_of,
    places,
    rounded,
    row_and_chunk,
    seed_and_stream,
    walk,
    wide,
    words,
)

# Numbers that differ from call to call: a kernel is not compiled again for some of their values.
NUMBERS = ["seed", "stream", "base"]


@triton.jit
def value(x, rate, high, low, TYPE: tl.constexpr, SCALED: tl.constexpr):
    """The bits of the result, whose type is TYPE."""
    F: tl.constexpr = tl.float64 if TYPE == tl.float64 else tl.float32
    # Adding 2**52 rounds to an integer, halves to even: the threshold.
    limit = ((rate * 4294967296.0 + 4503599627370496.0) - 4503599627370496.0).to(tl.int64)
    keep = ((high.to(tl.int64) << 16) | low.to(tl.int64)) >= limit
    y = x.to(F)
    if SCALED:
        y = y * (1.0 / (1.0 - rate)).to(F)  # at a rate of 1 nothing is kept
    return rounded(tl.where(keep, y, 0.0), TYPE)


@triton.jit(do_not_specialize=[*NUMBERS, "chunks", "n"])
def in_rows(
    X,
    RATES,
    Y,
    seed: "i64",
    stream: "i64",
    base: "i64",
    chunks: "i64",
    n: "i64",
    sizes,
    steps_x,
    steps_rate,
    steps_y,
    steps_mask,
    BLOCKS: tl.constexpr,
    ONE: tl.constexpr,
    ALIGNED: tl.constexpr,
    SHARED: tl.constexpr,
    TYPE: tl.constexpr,
    SCALED: tl.constexpr,
):
    """A program has up to 8 * BLOCKS elements of a row, from one whose index is divisible by 8."""
    seed, stream = key_of(seed, stream)
    base, n = wide(base), wide(n)
    row, chunk = row_and_chunk(chunks, ONE)
    if not ONE:
        X += at(row, sizes, steps_x)
        RATES += at(row, sizes, steps_rate)
        Y += at(row, sizes, steps_y)
        base += at(row, sizes, steps_mask)
    start = chunk * (8 * BLOCKS)
    if not ALIGNED:
        start -= base & 7
    i = tl.arange(0, 8 * BLOCKS)
    inside = in_row(i, start, n)
    x = tl.load(X + start + i, mask=inside)
    rate = tl.load(RATES + start + i, mask=inside)
    if SHARED:
        index = tl.zeros((1,), tl.int64) + base
        high, low = half(seed, stream, HIGH, index), half(seed, stream, LOW, index)
    else:
        block = (base >> 3) + chunk * BLOCKS + tl.arange(0, BLOCKS)
        block = block & 0x1FFFFFFFFFFFFFFF  # indices are modulo 2**64
        w0, w1, w2, w3 = words(seed, stream, HIGH, block)
        high = halves(w0, w1, w2, w3)
        w0, w1, w2, w3 = words(seed, stream, LOW, block)
        low = halves(w0, w1, w2, w3)
    tl.store(Y + start + i, value(x, rate, high, low, TYPE, SCALED), mask=inside)


@triton.jit(do_not_specialize=[*NUMBERS, "n"])
def in_places(
    X,
    RATES,
    Y,
    seed: "i64",
    stream: "i64",
    base: "i64",
    n: "i64",
    sizes,
    steps_x,
    steps_rate,
    steps_y,
    steps_mask,
    PLACES: tl.constexpr,
    WIDE: tl.constexpr,
    TYPE: tl.constexpr,
    SCALED: tl.constexpr,
):
    """A program has PLACES elements of tensors of any strides."""
    seed, stream = key_of(seed, stream)
    base, n = wide(base), wide(n)
    i, inside = places(n, PLACES, WIDE)
    x = tl.load(X + at(i, sizes, steps_x), mask=inside)
    rate = tl.load(RATES + at(i, sizes, steps_rate), mask=inside)
    index = base + at(i, sizes, steps_mask)
    high, low = half(seed, stream, HIGH, index), half(seed, stream, LOW, index)
    y = value(x, rate, high, low, TYPE, SCALED)
    tl.store(Y + at(i, sizes, steps_y), y, mask=inside)


def masked_by_rates(
    x: torch.Tensor,
    key: torch.Tensor,
    rates: torch.Tensor,
    scaled: bool,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """As `kernels.reference.masked_by_rates`, of real numbers and one key."""
    return walk(
        torch.empty_like(x),
        (x, rates.to(x.device, torch.float64).expand(x.shape)),
        strides,
        (*seed_and_stream(key), base),
        PER_BLOCK,
        in_rows,
        in_places,
        {},
        TYPE=TYPES[x.dtype],
        SCALED=scaled,
    )
