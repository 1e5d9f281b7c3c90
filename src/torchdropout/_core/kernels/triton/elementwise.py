"""The kernels of operators that go element by element: a draw for each, and what follows from it.

An operator gives the two functions of its draws and the one of its values; see `walk`. A tensor is
walked in one of two ways. In *rows*, elements that lie next to each other have mask indices next to
each other, so that a Philox call serves a whole block, or share one index, so that it serves the
row; a contiguous tensor with the usual mask is one row. In *places*, any strides: a Philox call for
each element.
"""

# Triton reads the annotations of a kernel: no `from __future__ import annotations` here. Without
# "i64" the type of an integer would be that of its value: a kernel for small ones, one for large.

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl

from .walk import (
    AS_BITS,
    BLOCKS,
    FEWEST,
    PLACES,
    TYPES,
    are_rows,
    at,
    dimensions,
    in_row,
    key_of,
    launching,
    places,
    row_and_chunk,
    wide,
)

# Numbers that differ from call to call: a kernel is not compiled again for some of their values.
NUMBERS = ["seed", "stream", "base", "a", "b", "c", "d", "e", "n"]
MOST_NUMBERS = 5


@triton.jit(do_not_specialize=[*NUMBERS, "chunks"])
def in_rows(
    X,
    X1,
    X2,
    Y,
    seed: "i64",
    stream: "i64",
    base: "i64",
    a: "i64",
    b: "i64",
    c: "i64",
    d: "i64",
    e: "i64",
    chunks: "i64",
    n: "i64",
    sizes,
    steps_x,
    steps_x1,
    steps_x2,
    steps_y,
    steps_mask,
    DRAW: tl.constexpr,
    VALUE: tl.constexpr,
    KIND: tl.constexpr,
    TYPE: tl.constexpr,
    INPUTS: tl.constexpr,
    PER_BLOCK: tl.constexpr,
    BLOCKS: tl.constexpr,
    ONE: tl.constexpr,
    ALIGNED: tl.constexpr,
    SHARED: tl.constexpr,
):
    """A program has up to BLOCKS blocks of a row, from the beginning of one on."""
    seed, stream = key_of(seed, stream)
    base, n = wide(base), wide(n)
    row, chunk = row_and_chunk(chunks, ONE)
    if not ONE:
        X += at(row, sizes, steps_x)
        if INPUTS > 1:
            X1 += at(row, sizes, steps_x1)
        if INPUTS > 2:
            X2 += at(row, sizes, steps_x2)
        Y += at(row, sizes, steps_y)
        base += at(row, sizes, steps_mask)
    start = chunk * (PER_BLOCK * BLOCKS)
    if not ALIGNED:
        start -= base & (PER_BLOCK - 1)
    i = tl.arange(0, PER_BLOCK * BLOCKS)
    numbers = (a, b, c, d, e)
    # It is written twice, so that work needed only at the ends of a row is not done elsewhere.
    if (start >= 0) & (start + PER_BLOCK * BLOCKS <= n):
        x = tl.load(X + start + i)
        x1 = tl.load(X1 + start + i) if INPUTS > 1 else x
        x2 = tl.load(X2 + start + i) if INPUTS > 2 else x
        draw = DRAW(seed, stream, base, chunk, numbers, BLOCKS, SHARED, KIND)
        tl.store(Y + start + i, VALUE(x, x1, x2, draw, numbers, TYPE, KIND))
    else:
        inside = in_row(i, start, n)
        x = tl.load(X + start + i, mask=inside)
        x1 = tl.load(X1 + start + i, mask=inside) if INPUTS > 1 else x
        x2 = tl.load(X2 + start + i, mask=inside) if INPUTS > 2 else x
        draw = DRAW(seed, stream, base, chunk, numbers, BLOCKS, SHARED, KIND)
        tl.store(Y + start + i, VALUE(x, x1, x2, draw, numbers, TYPE, KIND), mask=inside)


@triton.jit(do_not_specialize=NUMBERS)
def in_places(
    X,
    X1,
    X2,
    Y,
    seed: "i64",
    stream: "i64",
    base: "i64",
    a: "i64",
    b: "i64",
    c: "i64",
    d: "i64",
    e: "i64",
    n: "i64",
    sizes,
    steps_x,
    steps_x1,
    steps_x2,
    steps_y,
    steps_mask,
    DRAW: tl.constexpr,
    VALUE: tl.constexpr,
    KIND: tl.constexpr,
    TYPE: tl.constexpr,
    INPUTS: tl.constexpr,
    PLACES: tl.constexpr,
    WIDE: tl.constexpr,
):
    """A program has PLACES elements of tensors of any strides."""
    seed, stream = key_of(seed, stream)
    base, n = wide(base), wide(n)
    i, inside = places(n, PLACES, WIDE)
    numbers = (a, b, c, d, e)
    x = tl.load(X + at(i, sizes, steps_x), mask=inside)
    x1 = tl.load(X1 + at(i, sizes, steps_x1), mask=inside) if INPUTS > 1 else x
    x2 = tl.load(X2 + at(i, sizes, steps_x2), mask=inside) if INPUTS > 2 else x
    draw = DRAW(seed, stream, base + at(i, sizes, steps_mask), numbers, KIND)
    tl.store(Y + at(i, sizes, steps_y), VALUE(x, x1, x2, draw, numbers, TYPE, KIND), mask=inside)


class Map(NamedTuple):
    """What an operator does to an element: functions that Triton compiles into the kernels.

    Attributes:
        in_row: `(seed, stream, base, chunk, numbers, BLOCKS, SHARED, KIND)`: the draws of a chunk
            of a row, or the one that the row shares.
        in_places: `(seed, stream, index, numbers, KIND)`: the draws of any mask indices.
        value: `(x, x1, x2, draw, numbers, TYPE, KIND)`: the bits of the results. The numbers are
            those of the call, x1 and x2 its other inputs, where there are some.
        per_block: Elements of a Philox call.
    """

    in_row: Any
    in_places: Any
    value: Any
    per_block: int


def walk(
    keyed_map: Map,
    y: torch.Tensor,
    tensors: Sequence[torch.Tensor],
    key: Sequence[int],
    numbers: Sequence[int],
    kind: tuple[int, ...],
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """Launch one of the two kernels.

    Args:
        keyed_map: The operator's functions.
        y: The result, to be written.
        tensors: The inputs, up to three: tensors of the shape of y, of any strides.
        key: Seed and stream.
        numbers: Up to five that differ from call to call.
        kind: Constants of the functions: for other ones the kernel is compiled again.
        base: Mask index of the first element.
        strides: Mask strides of the dimensions.

    Returns:
        y.
    """
    if y.numel() == 0:
        return y
    inputs = len(tensors)
    tensors = [*tensors, *[tensors[0]] * (3 - inputs)]
    into = y.view(AS_BITS[y.element_size()])
    named = (*key, base, *numbers, *[0] * (MOST_NUMBERS - len(numbers)))
    common: dict[str, Any] = {
        "VALUE": keyed_map.value,
        "KIND": kind,
        "TYPE": TYPES[y.dtype],
        "INPUTS": inputs,
        "enable_fp_fusion": False,
    }
    dims = dimensions(y.shape, *(t.stride() for t in tensors), y.stride(), strides)
    with launching(y):
        if not are_rows(dims):
            in_places[(triton.cdiv(y.numel(), PLACES),)](
                *tensors,
                into,
                *named,
                y.numel(),
                *zip(*dims, strict=True),
                DRAW=keyed_map.in_places,
                PLACES=PLACES,
                WIDE=y.numel() >= 2**31,
                **common,
            )
            return y
        (n, *_, mask), *outer = dims
        per_block = keyed_map.per_block
        rows = y.numel() // n
        shared = mask == 0 and n > 1
        starts = (base, *(steps[-1] for steps in outer))
        aligned = shared or all(start % per_block == 0 for start in starts)
        longest = n if aligned else n + per_block - 1
        blocks = BLOCKS
        if rows > 1:  # a row of its own length should leave few threads without work
            fitting: int = triton.next_power_of_2(triton.cdiv(longest, per_block))
            blocks = min(BLOCKS, max(FEWEST, fitting))
        chunks = triton.cdiv(longest, per_block * blocks)
        in_rows[(rows * chunks,)](
            *tensors,
            into,
            *named,
            chunks,
            n,
            *zip(*(outer or [(1, *(0 for _ in dims[0][1:]))]), strict=True),
            DRAW=keyed_map.in_row,
            PER_BLOCK=per_block,
            BLOCKS=blocks,
            ONE=rows == 1,
            ALIGNED=aligned,
            SHARED=shared,
            num_warps=1,  # the search for a tie then needs no shared memory
            **common,
        )
    return y
