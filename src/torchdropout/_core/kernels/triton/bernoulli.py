"""`masked_affine` in Triton: `y = keep ? x * scale + shift : drop_value`.

The low halves of the uniforms decide if a high half ties, one element in 65,536. They are computed
only in a program that has a tie. Product and sum are rounded apart: no fused multiply-add.
"""

# Triton reads the annotations of a kernel: no `from __future__ import annotations` here. Without
# "i64" the type of an integer would be that of its value: a kernel for small ones, one for large.

from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from ...contract.keep import HALF, PER_BLOCK, compute_dtype, threshold
from .walk import (
    TYPES,
    at,
    bits,
    in_order,
    in_row,
    key_of,
    number,
    pick,
    places,
    rounded,
    row_and_chunk,
    seed_and_stream,
    walk,
    wide,
    words,
)

HIGH = tl.constexpr(0)  # the domains: contract, section 2
LOW = tl.constexpr(8)

# Numbers that differ from call to call: a kernel is not compiled again for some of their values.
NUMBERS = ["seed", "stream", "tie", "low", "scale", "shift", "drop", "base"]


@triton.jit
def halves(w0, w1, w2, w3):
    """The half words of each block in the order of mask indices."""
    w = in_order(w0, w1, w2, w3)
    return tl.join(w & 0xFFFF, w >> 16).reshape(8 * w0.shape[0]).to(tl.int32)


@triton.jit
def half(seed, stream, domain: tl.constexpr, index):
    """The half word of each mask index."""
    block = (index >> 3) & 0x1FFFFFFFFFFFFFFF  # the index is unsigned
    w0, w1, w2, w3 = words(seed, stream, domain, block)
    place = (index & 7).to(tl.int32)
    w = pick(place >> 1, w0, w1, w2, w3)
    return ((w >> ((place & 1) * 16).to(tl.uint32)) & 0xFFFF).to(tl.int32)


@triton.jit
def keep_of(seed, stream, tie, low, index):
    """The keep bit of each of any mask indices."""
    high = half(seed, stream, HIGH, index)
    keep, ties = high > tie, high == tie
    if tl.max(ties.to(tl.int32), axis=0) > 0:
        keep = keep | (ties & (half(seed, stream, LOW, index) >= low))
    return keep


@triton.jit
def on_top(w0, w1, w2, w3):
    """The half words of each block, with anything below: a comparison need not separate them."""
    w = in_order(w0, w1, w2, w3)
    return tl.join(w << 16, w).reshape(8 * w0.shape[0])


@triton.jit
def zero_half(word):
    """Not 0 if and only if a half of the word is 0."""
    return (word - 0x00010001) & (word ^ 0xFFFFFFFF) & 0x80008000


@triton.jit
def words_from(seed, stream, domain: tl.constexpr, block, skip):
    """The words of eight indices next to each other, after the first `skip` of a block.

    Where skip is None they are those of the block.
    """
    # Indices are modulo 2**64.
    w0, w1, w2, w3 = words(seed, stream, domain, block & 0x1FFFFFFFFFFFFFFF)
    if skip is not None:
        n0, n1, n2, n3 = words(seed, stream, domain, (block + 1) & 0x1FFFFFFFFFFFFFFF)
        # Shift by four, two and one half words, each where its bit of skip is set.
        four, two, one = (skip & 4) != 0, (skip & 2) != 0, (skip & 1) != 0
        w0, w1, w2 = tl.where(four, w2, w0), tl.where(four, w3, w1), tl.where(four, n0, w2)
        w3, n0, n1 = tl.where(four, n1, w3), tl.where(four, n2, n0), tl.where(four, n3, n1)
        w0, w1, w2 = tl.where(two, w1, w0), tl.where(two, w2, w1), tl.where(two, w3, w2)
        w3, n0 = tl.where(two, n0, w3), tl.where(two, n1, n0)
        w0 = tl.where(one, (w0 >> 16) | (w1 << 16), w0)
        w1 = tl.where(one, (w1 >> 16) | (w2 << 16), w1)
        w2 = tl.where(one, (w2 >> 16) | (w3 << 16), w2)
        w3 = tl.where(one, (w3 >> 16) | (n0 << 16), w3)
    return w0, w1, w2, w3


@triton.jit
def keep_of_blocks(seed, stream, tie, low, block, TIES: tl.constexpr, skip=None):
    """The keep bits of the mask indices of whole blocks, or of eights from `skip` in a block on."""
    w0, w1, w2, w3 = words_from(seed, stream, HIGH, block, skip)
    high = on_top(w0, w1, w2, w3)
    limit = (tie.to(tl.int64) << 16).to(tl.uint32)
    if TIES:
        keep = high > (limit | 0xFFFF)
        twice = limit | (limit >> 16)
        ties = zero_half(w0 ^ twice) | zero_half(w1 ^ twice)
        ties = ties | zero_half(w2 ^ twice) | zero_half(w3 ^ twice)
        if tl.max((ties != 0).to(tl.int32), axis=0) > 0:
            tied = halves(w0, w1, w2, w3) == tie
            w0, w1, w2, w3 = words_from(seed, stream, LOW, block, skip)
            keep = keep | (tied & (halves(w0, w1, w2, w3) >= low))
    else:
        keep = high >= limit
    return keep


@triton.jit
def keep_of_chunk(
    seed,
    stream,
    tie,
    low,
    base,
    chunk,
    BLOCKS: tl.constexpr,
    SHARED: tl.constexpr,
    TIES: tl.constexpr,
):
    """The keep bits of a chunk of a row; one, if the row shares it."""
    if SHARED:
        return keep_of(seed, stream, tie, low, tl.zeros((1,), tl.int64) + base)
    else:
        block = (base >> 3) + chunk * BLOCKS + tl.arange(0, BLOCKS)
        return keep_of_blocks(seed, stream, tie, low, block, TIES)


@triton.jit
def value(x, keep, scale, shift, drop, TYPE: tl.constexpr, SHIFT: tl.constexpr):
    """The bits of the result, whose type is TYPE."""
    F: tl.constexpr = tl.float64 if TYPE == tl.float64 else tl.float32
    y = x.to(F) * number(scale, F)
    if SHIFT:
        y = y + number(shift, F)
    kept = rounded(y, TYPE)
    return tl.where(keep, kept, drop.to(kept.dtype))


@triton.jit(do_not_specialize=[*NUMBERS, "chunks", "n"])
def in_rows(
    X,
    Y,
    seed: "i64",
    stream: "i64",
    tie: "i32",
    low: "i32",
    scale: "i64",
    shift: "i64",
    drop: "i64",
    base: "i64",
    chunks: "i64",
    n: "i64",
    sizes,
    steps_x,
    steps_y,
    steps_mask,
    BLOCKS: tl.constexpr,
    ONE: tl.constexpr,
    ALIGNED: tl.constexpr,
    SHARED: tl.constexpr,
    TIES: tl.constexpr,
    TYPE: tl.constexpr,
    SHIFT: tl.constexpr,
):
    """A program has up to 8 * BLOCKS elements of a row, from one whose index is divisible by 8."""
    seed, stream = key_of(seed, stream)
    base, n = wide(base), wide(n)
    row, chunk = row_and_chunk(chunks, ONE)
    if not ONE:
        X += at(row, sizes, steps_x)
        Y += at(row, sizes, steps_y)
        base += at(row, sizes, steps_mask)
    start = chunk * (8 * BLOCKS)
    if not ALIGNED:
        start -= base & 7
    i = tl.arange(0, 8 * BLOCKS)
    # It is written twice, so that work needed only at the ends of a row is not done elsewhere.
    if (start >= 0) & (start + 8 * BLOCKS <= n):
        x = tl.load(X + start + i)
        keep = keep_of_chunk(seed, stream, tie, low, base, chunk, BLOCKS, SHARED, TIES)
        tl.store(Y + start + i, value(x, keep, scale, shift, drop, TYPE, SHIFT))
    else:
        inside = in_row(i, start, n)
        x = tl.load(X + start + i, mask=inside)
        keep = keep_of_chunk(seed, stream, tie, low, base, chunk, BLOCKS, SHARED, TIES)
        tl.store(Y + start + i, value(x, keep, scale, shift, drop, TYPE, SHIFT), mask=inside)


@triton.jit(do_not_specialize=[*NUMBERS, "n"])
def in_places(
    X,
    Y,
    seed: "i64",
    stream: "i64",
    tie: "i32",
    low: "i32",
    scale: "i64",
    shift: "i64",
    drop: "i64",
    base: "i64",
    n: "i64",
    sizes,
    steps_x,
    steps_y,
    steps_mask,
    PLACES: tl.constexpr,
    WIDE: tl.constexpr,
    TYPE: tl.constexpr,
    SHIFT: tl.constexpr,
):
    """A program has PLACES elements of a tensor of any strides."""
    seed, stream = key_of(seed, stream)
    base, n = wide(base), wide(n)
    i, inside = places(n, PLACES, WIDE)
    x = tl.load(X + at(i, sizes, steps_x), mask=inside)
    keep = keep_of(seed, stream, tie, low, base + at(i, sizes, steps_mask))
    y = value(x, keep, scale, shift, drop, TYPE, SHIFT)
    tl.store(Y + at(i, sizes, steps_y), y, mask=inside)


def high_and_low(p: float) -> tuple[int, int]:
    """The halves of the threshold: an element is kept if its high half is above the first.

    If it is equal, the low half must not be below the second. At p = 1 no low half reaches that.
    """
    limit = threshold(p)
    return (HALF, HALF + 1) if limit > 0xFFFFFFFF else (limit >> 16, limit & HALF)


def masked_affine(
    x: torch.Tensor,
    key: torch.Tensor,
    p: float,
    scale: float,
    shift: float,
    drop_value: float,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """As `kernels.reference.masked_affine`, of real numbers and one key."""
    compute = compute_dtype(x.dtype)
    tie, low = high_and_low(p)
    numbers = (
        *seed_and_stream(key),
        tie,
        low,
        bits(scale, compute),
        bits(shift, compute),
        bits(drop_value, compute, x.dtype),
        base,
    )
    return walk(
        torch.empty_like(x),
        (x,),
        strides,
        numbers,
        PER_BLOCK,
        in_rows,
        in_places,
        {"TIES": low != 0},
        TYPE=TYPES[x.dtype],
        SHIFT=shift != 0.0,
    )
