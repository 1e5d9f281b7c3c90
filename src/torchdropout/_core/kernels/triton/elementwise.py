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

from ...contract.layout import row_major
from .walk import (
    AS_BITS,
    BLOCKS,
    FEWEST,
    INTERPRETED,
    PLACES,
    TYPES,
    Key,
    are_rows,
    at,
    dimensions,
    in_row,
    is_current,
    key_of,
    launching,
    places,
    row_and_chunk,
    seed_and_stream,
    wide,
)

# Numbers that differ from call to call: a kernel is not compiled again for some of their values.
NUMBERS = ["seed", "stream", "base", "a", "b", "c", "d", "e", "n"]
MOST_NUMBERS = 5
MOST_INPUTS = 3


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


class Plan(NamedTuple):
    """A compiled kernel and what follows from the layout of a call.

    Attributes:
        keyed_map: Kept, since its identity names the plan.
        launch: Launches the kernel that was compiled for such tensors.
        rest: Its arguments after those that differ from call to call.
    """

    keyed_map: Map
    launch: Any
    rest: tuple[Any, ...]


# Triton binds and hashes all arguments at each launch, which takes longer than all else in a call.
_plans: dict[tuple[Any, ...], Plan] = {}
_MOST_PLANS = 4096


def walk(
    keyed_map: Map,
    y: torch.Tensor,
    tensors: tuple[torch.Tensor, ...],
    key: Key,
    numbers: tuple[int, ...],
    kind: tuple[int, ...],
    base: int,
    strides: Sequence[int] | None,
) -> torch.Tensor:
    """Launch one of the two kernels. Whatever may fail comes before the key is drawn.

    Args:
        keyed_map: The operator's functions.
        y: The result, to be written.
        tensors: The inputs, up to three: tensors of the shape of y, of any strides.
        key: See `seed_and_stream`.
        numbers: Up to five that differ from call to call.
        kind: Constants of the functions: for other ones the kernel is compiled again.
        base: Mask index of the first element.
        strides: Mask strides of the dimensions; None for row-major ones.

    Returns:
        y.
    """
    if y.numel() == 0:
        seed_and_stream(key)
        return y
    # Triton compiles for the type of a tensor and for its alignment.
    what: tuple[Any, ...] = (
        *(id(keyed_map), kind, y.device, y.shape, base % keyed_map.per_block),
        *(None if strides is None else tuple(strides), y.dtype, y.stride(), y.data_ptr() % 16),
    )
    for t in tensors:
        what += t.dtype, t.stride(), t.data_ptr() % 16
    inputs = (*tensors, *tensors[:1] * (MOST_INPUTS - len(tensors)))
    numbers += (0,) * (MOST_NUMBERS - len(numbers))
    plan = _plans.get(what)
    if plan is None:
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        strides = row_major(y.shape) if strides is None else strides
        plan = _plan(keyed_map, y, len(tensors), inputs, numbers, kind, base, strides)
        _plans[what] = plan
    # A compiled kernel takes addresses; in the interpreter a tensor's type counts.
    into = as_bits(y) if INTERPRETED.value else y
    if is_current(y.device):
        plan.launch(*inputs, into, *seed_and_stream(key), base, *numbers, *plan.rest)
        return y
    with launching(y):
        plan.launch(*inputs, into, *seed_and_stream(key), base, *numbers, *plan.rest)
    return y


def as_bits(y: torch.Tensor) -> torch.Tensor:
    """The memory of y, as the integers that are written there."""
    return y.view(AS_BITS[y.element_size()])


def _plan(
    keyed_map: Map,
    y: torch.Tensor,
    count: int,
    inputs: Sequence[torch.Tensor],
    numbers: Sequence[int],
    kind: tuple[int, ...],
    base: int,
    strides: Sequence[int],
) -> Plan:
    """Choose one of the kernels, and compile it."""
    dims = dimensions(y.shape, *(t.stride() for t in inputs), y.stride(), strides)
    common = keyed_map.value, kind, TYPES[y.dtype], count
    options: dict[str, Any] = {"enable_fp_fusion": False}
    rest: tuple[Any, ...]
    if not are_rows(dims):
        kernel, programs = in_places, triton.cdiv(y.numel(), PLACES)
        rest = y.numel(), *zip(*dims, strict=True)
        rest = *rest, keyed_map.in_places, *common, PLACES, y.numel() >= 2**31
    else:
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
        kernel, programs = in_rows, rows * chunks
        rest = chunks, n, *zip(*(outer or [(1, *(0 for _ in dims[0][1:]))]), strict=True)
        rest = *rest, keyed_map.in_row, *common, per_block, blocks, rows == 1, aligned, shared
        options["num_warps"] = 1  # the search for a tie then needs no shared memory
    grid = programs, 1, 1
    if INTERPRETED.value:
        return Plan(keyed_map, kernel[grid], rest)
    with launching(y):
        arguments = *inputs, as_bits(y), 0, 0, base, *numbers, *rest
        return Plan(keyed_map, kernel.warmup(*arguments, grid=grid, **options)[grid], rest)
