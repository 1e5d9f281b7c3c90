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
from .elementwise import Map, walk
from .walk import rounded, words


@triton.jit
def value(x, rate, _2, uniform, numbers, TYPE: tl.constexpr, KIND: tl.constexpr):
    """The bits of the result, whose type is TYPE."""
    F: tl.constexpr = tl.float64 if TYPE == tl.float64 else tl.float32
    # Adding 2**52 rounds to an integer, halves to even: the threshold.
    limit = ((rate * 4294967296.0 + 4503599627370496.0) - 4503599627370496.0).to(tl.int64)
    y = x.to(F)
    if KIND[0]:
        y = y * (1.0 / (1.0 - rate)).to(F)  # at a rate of 1 nothing is kept
    return rounded(tl.where(uniform >= limit, y, 0.0), TYPE)


@triton.jit
def uniform_in_places(seed, stream, index, numbers, KIND: tl.constexpr):
    """The uniform of each of any mask indices, of 32 bits."""
    high, low = half(seed, stream, HIGH, index), half(seed, stream, LOW, index)
    return (high.to(tl.int64) << 16) | low.to(tl.int64)


@triton.jit
def uniform_in_row(
    seed,
    stream,
    base,
    chunk,
    numbers,
    BLOCKS: tl.constexpr,
    SHARED: tl.constexpr,
    KIND: tl.constexpr,
):
    """The uniforms of a chunk of a row; one, if the row shares it."""
    if SHARED:
        return uniform_in_places(seed, stream, tl.zeros((1,), tl.int64) + base, numbers, KIND)
    else:
        block = (base >> 3) + chunk * BLOCKS + tl.arange(0, BLOCKS)
        block = block & 0x1FFFFFFFFFFFFFFF  # indices are modulo 2**64
        w0, w1, w2, w3 = words(seed, stream, HIGH, block)
        high = halves(w0, w1, w2, w3)
        w0, w1, w2, w3 = words(seed, stream, LOW, block)
        low = halves(w0, w1, w2, w3)
        return (high.to(tl.int64) << 16) | low.to(tl.int64)


RATES = Map(uniform_in_row, uniform_in_places, value, PER_BLOCK)


def masked_by_rates(
    x: torch.Tensor,
    key: torch.Tensor,
    rates: torch.Tensor,
    scaled: bool,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """As `kernels.reference.masked_by_rates`, of real numbers and one key."""
    tensors = x, rates.to(x.device, torch.float64).expand(x.shape)
    y = torch.empty_like(x)
    return walk(RATES, y, tensors, key, (), (scaled,), base, strides)
