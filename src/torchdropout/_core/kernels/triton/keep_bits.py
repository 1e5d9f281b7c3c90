"""`keep_bits` in Triton: eight keep bits in a byte, for a select that a compiler fuses.

If the bits are in the order of their mask indices and begin with a block, a Philox call makes a
byte, and a program writes its bytes next to each other; elsewhere each bit has a call.
"""

# Triton reads the annotations of a kernel: no `from __future__ import annotations` here.

import math
from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from ...contract.keep import PER_BLOCK
from ...contract.layout import row_major, sizes_drawn
from .bernoulli import HIGH, LOW, high_and_low, keep_of, zero_half
from .walk import (
    PLACES,
    at,
    dimensions,
    key_of,
    launching,
    places,
    seed_and_stream,
    wide,
    words,
)

CALLS = 128  # Philox calls of a program, a warp, each a byte

NUMBERS = ["seed", "stream", "tie", "low", "base", "n"]


@triton.jit
def above(w, limit, TIES: tl.constexpr):
    """Two bits: which halves of a word are above a limit, or where nothing ties, not below."""
    low, high = w << 16, w  # the rest of the word need not be taken off
    if TIES:
        first, second = low > (limit | 0xFFFF), high > (limit | 0xFFFF)
    else:
        first, second = low >= limit, high >= limit
    return first.to(tl.int32) | (second.to(tl.int32) << 1)


@triton.jit
def tied(w, v, tie, low):
    """Two bits: which halves of a word tie, and are kept by the low halves in v."""
    first = ((w & 0xFFFF).to(tl.int32) == tie) & ((v & 0xFFFF).to(tl.int32) >= low)
    second = ((w >> 16).to(tl.int32) == tie) & ((v >> 16).to(tl.int32) >= low)
    return first.to(tl.int32) | (second.to(tl.int32) << 1)


@triton.jit(do_not_specialize=NUMBERS)
def in_blocks(
    Y,
    seed: "i64",
    stream: "i64",
    tie: "i32",
    low: "i32",
    base: "i64",
    n: "i64",
    CALLS: tl.constexpr,
    TIES: tl.constexpr,
):
    """A program has CALLS bytes, each of a Philox call; the base is divisible by 8."""
    seed, stream = key_of(seed, stream)
    base, n = wide(base), wide(n)
    i = tl.program_id(0).to(tl.int64) * CALLS + tl.arange(0, CALLS)
    block = ((base >> 3) + i) & 0x1FFFFFFFFFFFFFFF  # indices are modulo 2**64
    w0, w1, w2, w3 = words(seed, stream, HIGH, block)
    limit = (tie.to(tl.int64) << 16).to(tl.uint32)
    byte = above(w0, limit, TIES) | (above(w1, limit, TIES) << 2)
    byte |= (above(w2, limit, TIES) << 4) | (above(w3, limit, TIES) << 6)
    if TIES:
        twice = limit | (limit >> 16)
        ties = zero_half(w0 ^ twice) | zero_half(w1 ^ twice)
        ties = ties | zero_half(w2 ^ twice) | zero_half(w3 ^ twice)
        if tl.max((ties != 0).to(tl.int32), axis=0) > 0:
            v0, v1, v2, v3 = words(seed, stream, LOW, block)
            byte |= tied(w0, v0, tie, low) | (tied(w1, v1, tie, low) << 2)
            byte |= (tied(w2, v2, tie, low) << 4) | (tied(w3, v3, tie, low) << 6)
    inside = tl.minimum(tl.maximum(n - i * 8, 0), 8).to(tl.int32)
    tl.store(Y + i, (byte & ((1 << inside) - 1)).to(tl.uint8), mask=inside > 0)


@triton.jit(do_not_specialize=NUMBERS)
def in_places(
    Y,
    seed: "i64",
    stream: "i64",
    tie: "i32",
    low: "i32",
    base: "i64",
    n: "i64",
    sizes,
    steps,
    PLACES: tl.constexpr,
    WIDE: tl.constexpr,
):
    """A program has PLACES bits, of any mask strides."""
    seed, stream = key_of(seed, stream)
    base, n = wide(base), wide(n)
    i, inside = places(n, PLACES, WIDE)
    keep = keep_of(seed, stream, tie, low, base + at(i, sizes, steps)) & inside
    bits = keep.to(tl.int32).reshape(PLACES // 8, 8) << tl.arange(0, 8)[None, :]
    byte = tl.program_id(0).to(tl.int64) * (PLACES // 8) + tl.arange(0, PLACES // 8)
    tl.store(Y + byte, tl.sum(bits, axis=1).to(tl.uint8), mask=byte * 8 < n)


def keep_bits(
    like: torch.Tensor,
    key: torch.Tensor,
    p: float,
    shape: Sequence[int],
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """As `kernels.reference.packed_bits`, of one key."""
    sizes = sizes_drawn(shape, strides)
    n = math.prod(sizes)
    y = torch.empty((n + PER_BLOCK - 1) // PER_BLOCK, dtype=torch.uint8, device=like.device)
    if n == 0:
        return y
    tie, low = high_and_low(p)
    numbers = (*seed_and_stream(key), tie, low, base, n)
    dims = dimensions(sizes, row_major(sizes), strides)
    with launching(y):
        if len(dims) == 1 and (n == 1 or dims[0][-1] == 1) and base % PER_BLOCK == 0:
            in_blocks[(triton.cdiv(len(y), CALLS),)](
                y, *numbers, CALLS=CALLS, TIES=low != 0, num_warps=1, enable_fp_fusion=False
            )
        else:
            of_place, _, of_mask = zip(*dims, strict=True)
            in_places[(triton.cdiv(n, PLACES),)](
                y,
                *numbers,
                of_place,
                of_mask,
                PLACES=PLACES,
                WIDE=n >= 2**31,
                enable_fp_fusion=False,
            )
    return y
