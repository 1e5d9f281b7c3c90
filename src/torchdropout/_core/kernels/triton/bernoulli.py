"""`masked_affine` in Triton: `y = keep ? x * scale + shift : drop_value`.

The low halves of the uniforms decide if a high half ties, one element in 65,536. They are computed
only in a program that has a tie. Product and sum are rounded apart: no fused multiply-add.
"""

# Triton reads the annotations of a kernel: no `from __future__ import annotations` here.

import struct
from collections.abc import Sequence
from functools import lru_cache

import torch
import triton
import triton.language as tl

from ...contract.keep import HALF, PER_BLOCK, compute_dtype, threshold
from .elementwise import Map, walk
from .walk import Key, bits, in_order, number, pick, rounded, words

HIGH = tl.constexpr(0)  # the domains: contract, section 2
LOW = tl.constexpr(8)


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
def keep_in_row(
    seed,
    stream,
    base,
    chunk,
    numbers,
    BLOCKS: tl.constexpr,
    SHARED: tl.constexpr,
    KIND: tl.constexpr,
):
    """The keep bits of a chunk of a row; one, if the row shares it."""
    tie, low = numbers[0].to(tl.int32), numbers[1].to(tl.int32)
    if SHARED:
        return keep_of(seed, stream, tie, low, tl.zeros((1,), tl.int64) + base)
    else:
        block = (base >> 3) + chunk * BLOCKS + tl.arange(0, BLOCKS)
        return keep_of_blocks(seed, stream, tie, low, block, KIND[0])


@triton.jit
def keep_in_places(seed, stream, index, numbers, KIND: tl.constexpr):
    """The keep bit of each of any mask indices."""
    return keep_of(seed, stream, numbers[0].to(tl.int32), numbers[1].to(tl.int32), index)


@triton.jit
def value(x, _1, _2, keep, numbers, TYPE: tl.constexpr, KIND: tl.constexpr):
    """The bits of the result, whose type is TYPE."""
    F: tl.constexpr = tl.float64 if TYPE == tl.float64 else tl.float32
    y = x.to(F) * number(numbers[2], F)
    if KIND[1]:  # there is a shift
        y = y + number(numbers[3], F)
    kept = rounded(y, TYPE)
    return tl.where(keep, kept, numbers[4].to(kept.dtype))


AFFINE = Map(keep_in_row, keep_in_places, value, PER_BLOCK)


def high_and_low(p: float) -> tuple[int, int]:
    """The halves of the threshold: an element is kept if its high half is above the first.

    If it is equal, the low half must not be below the second. At p = 1 no low half reaches that.
    """
    limit = threshold(p)
    return (HALF, HALF + 1) if limit > 0xFFFFFFFF else (limit >> 16, limit & HALF)


@lru_cache
def _numbers(constants: bytes, dtype: torch.dtype) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """The numbers and the kind of a map, by the bytes of its constants: 0.0 equals -0.0."""
    p, scale, shift, drop_value = struct.unpack("4d", constants)
    compute = compute_dtype(dtype)
    tie, low = high_and_low(p)
    rounded = bits(scale, compute), bits(shift, compute), bits(drop_value, compute, dtype)
    return (tie, low, *rounded), (low != 0, shift != 0.0)


def masked_affine(
    x: torch.Tensor,
    key: Key,
    p: float,
    scale: float,
    shift: float,
    drop_value: float,
    base: int,
    strides: Sequence[int] | None,
) -> torch.Tensor:
    """As `kernels.reference.masked_affine`, of real numbers and one key."""
    numbers, kind = _numbers(struct.pack("4d", p, scale, shift, drop_value), x.dtype)
    return walk(AFFINE, torch.empty_like(x), (x,), key, numbers, kind, base, strides)
