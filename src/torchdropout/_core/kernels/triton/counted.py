"""`counted_affine` in Triton: `y = x * scale` at the places whose words come first, else 0.

A small group compares all pairs of its words. A larger one looks for the last number that is kept,
one bit after the other: a word and below it the place, so that no two numbers are equal.
"""

# Triton reads the annotations of a kernel: no `from __future__ import annotations` here.

from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from ...contract.keep import compute_dtype
from ...contract.layout import sizes_drawn
from ...contract.noise import DOMAIN_ORDER, PER_BLOCK
from .noise import word_of
from .walk import (
    AS_BITS,
    TYPES,
    at,
    bits,
    in_order,
    key_of,
    launching,
    merged,
    number,
    rounded,
    seed_and_stream,
    wide,
    words,
)

ORDER = tl.constexpr(DOMAIN_ORDER)
TOGETHER = 1024  # elements of a program, or one group
FEW = 16  # a group up to here compares all pairs

# Numbers that differ from call to call: a kernel is not compiled again for some of their values.
NUMBERS = ["seed", "stream", "scale", "base"]


@triton.jit
def first_of_pairs(word, place, kept, GROUP: tl.constexpr, BACKWARDS: tl.constexpr):
    """Whether fewer than `kept` numbers of its group come before each: (groups, SIDE)."""
    before = (word * 0).to(tl.int32)
    for other in tl.static_range(GROUP):
        theirs = tl.sum(tl.where(place == other, word, 0), axis=1)[:, None]
        tied = place < other if BACKWARDS else place > other
        before += ((theirs < word) | ((theirs == word) & tied)).to(tl.int32)
    return before < kept


@triton.jit
def first_by_bits(
    word, place, kept, GROUP: tl.constexpr, BITS: tl.constexpr, BACKWARDS: tl.constexpr
):
    """The same, if the pairs are many."""
    SIDE: tl.constexpr = word.shape[1]
    rank = GROUP - 1 - place if BACKWARDS else place
    own = tl.where(place < GROUP, word * SIDE + rank, 0x7FFFFFFFFFFFFFFF)
    last = tl.sum(own * 0, axis=1)
    bit = (tl.program_id(0).to(tl.int64) * 0 + SIDE) << 31  # the highest of a number
    for _ in range(BITS):
        larger = last | bit
        below = tl.sum((own < larger[:, None]).to(tl.int32), axis=1)
        last = tl.where(below < kept, larger, last)
        bit = bit >> 1
    return own <= last[:, None]


@triton.jit(do_not_specialize=[*NUMBERS, "groups", "kept"])
def in_groups(
    X,
    Y,
    seed: "i64",
    stream: "i64",
    scale: "i64",
    base: "i64",
    groups: "i64",
    kept: "i32",
    step_x,
    step_y,
    step_mask,
    sizes,
    steps_x,
    steps_y,
    steps_mask,
    TYPE: tl.constexpr,
    GROUP: tl.constexpr,
    SIDE: tl.constexpr,
    BITS: tl.constexpr,
    COUNT: tl.constexpr,
    DENSE: tl.constexpr,
    ALIGNED: tl.constexpr,
    BACKWARDS: tl.constexpr,
    PAIRS: tl.constexpr,
    WIDE: tl.constexpr,
):
    """A program has COUNT groups, in rows of SIDE places, a power of two."""
    seed, stream = key_of(seed, stream)
    base = wide(base)
    F: tl.constexpr = tl.float64 if TYPE == tl.float64 else tl.float32
    first = tl.program_id(0).to(tl.int64) * COUNT
    g = first + tl.arange(0, COUNT)
    inside = g < wide(groups)
    if not WIDE:
        g = g.to(tl.int32)
    place = tl.arange(0, SIDE)[None, :]
    far = place.to(tl.int64)  # times a step, it may be 2**31 or more
    if ALIGNED:  # DENSE: the mask indices of the program are one after the other
        start = base + first * GROUP
        block = (start >> 2) + tl.arange(0, COUNT * SIDE // 4)
        w0, w1, w2, w3 = words(seed, stream, ORDER, block & 0x3FFFFFFFFFFFFFFF)
        word = in_order(w0, w1, w2, w3).reshape(COUNT, SIDE).to(tl.int64)
    else:
        index = base + at(g, sizes, steps_mask)[:, None] + far * step_mask
        word = word_of(seed, stream, ORDER, index).to(tl.int64)
    if PAIRS:
        keep = first_of_pairs(word, place, kept, GROUP, BACKWARDS)
    else:
        keep = first_by_bits(word, place, kept, GROUP, BITS, BACKWARDS)
    if DENSE:  # flat, so that a thread reads and writes 16 bytes at a time
        i = tl.arange(0, COUNT * SIDE)
        some = i < (wide(groups) - first) * GROUP
        x = tl.load(X + first * GROUP + i, mask=some)
        y = tl.where(keep.reshape(COUNT * SIDE), x.to(F) * number(scale, F), 0.0)
        tl.store(Y + first * GROUP + i, rounded(y, TYPE), mask=some)
    else:
        some = inside[:, None] & (place < GROUP)
        x = tl.load(X + at(g, sizes, steps_x)[:, None] + far * step_x, mask=some)
        y = tl.where(keep, x.to(F) * number(scale, F), 0.0)
        to = Y + at(g, sizes, steps_y)[:, None] + far * step_y
        tl.store(to, rounded(y, TYPE), mask=some)


def counted_affine(
    x: torch.Tensor,
    key: torch.Tensor,
    kept: int,
    group: int,
    dim: int,
    scale: float,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """As `kernels.counted.counted_affine`, of one key and groups that `serves`."""
    sizes = sizes_drawn(x.shape, strides)
    if x.numel() > 0 and sizes != list(x.shape):  # a choice that many share is made once
        ones = torch.ones(sizes, dtype=torch.bfloat16, device=x.device)
        keep = counted_affine(ones, key, kept, group, dim, 1.0, base, strides) != 0
        product = torch.empty_like(x).copy_(x.to(compute_dtype(x.dtype)) * scale)
        return product.masked_fill_(~keep, 0.0)
    y = torch.empty_like(x)
    if y.numel() == 0:
        return y
    each: list[tuple[int, ...]] = list(zip(x.shape, x.stride(), y.stride(), strides, strict=True))
    size, *steps = each.pop(dim)
    # The number of a group along the dimension, and within it the places.
    each.append((size // group, *(group * step for step in steps)))
    outer = merged(sorted((d for d in each if d[0] != 1), key=lambda d: d[2]))
    outer = outer or [(1, 0, 0, 0)]
    side: int = triton.next_power_of_2(group)
    count = max(1, TOGETHER // side)
    groups = x.numel() // group
    whole = len(outer) == 1 and side == group and steps[:2] == [1, 1]
    dense = whole and (groups == 1 or outer[0][1:3] == (group, group))
    follows = steps[2] == 1 and (groups == 1 or outer[0][3] == group)
    aligned = dense and follows and base % PER_BLOCK == 0 and count * side >= PER_BLOCK
    with launching(x):
        in_groups[(triton.cdiv(groups, count),)](
            x,
            y.view(AS_BITS[y.element_size()]),
            *seed_and_stream(key),
            bits(scale, compute_dtype(x.dtype)),
            base,
            groups,
            kept,
            *steps,
            *zip(*outer, strict=True),
            TYPE=TYPES[x.dtype],
            GROUP=group,
            SIDE=side,
            BITS=32 + side.bit_length() - 1,  # of a word and a place
            COUNT=count,
            DENSE=dense,
            ALIGNED=aligned,
            BACKWARDS=steps[2] < 0,
            PAIRS=group <= FEW,
            WIDE=groups >= 2**31,
            enable_fp_fusion=False,
        )
    return y
