"""The gradient of `dropout_add` in Triton: `y = keep ? gradient * scale : 0`, and its sums.

The bias needs the sums of the columns. A program adds the rows of a block one after
the other in the compute type; a second kernel adds the blocks, in float64. The size of a block is
fixed, so that the sums have the bits of the CPU's.
"""

# Triton reads the annotations of a kernel: no `from __future__ import annotations` here.

from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from ...contract.keep import PER_BLOCK, compute_dtype
from ..add import ROWS
from .bernoulli import AFFINE, high_and_low, keep_of, keep_of_blocks
from .elementwise import walk
from .walk import (
    AS_BITS,
    TYPES,
    at,
    bits,
    key_of,
    launching,
    merged,
    number,
    rounded,
    seed_and_stream,
    wide,
)

# Numbers that differ from call to call: a kernel is not compiled again for some of their values.
NUMBERS = ["seed", "stream", "tie", "low", "scale", "base"]
COLUMNS = 256  # of a program: 16 bytes of each lane of a warp, in a type of 16 bits


@triton.jit(do_not_specialize=[*NUMBERS, "rows", "columns", "blocks"])
def in_blocks(
    G,
    Y,
    SUMS,
    seed: "i64",
    stream: "i64",
    tie: "i32",
    low: "i32",
    scale: "i64",
    base: "i64",
    rows: "i64",
    columns: "i64",
    blocks: "i32",
    step_g,
    step_y,
    step_mask,
    sizes,
    steps_g,
    steps_y,
    steps_mask,
    TYPE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    ALIGNED: tl.constexpr,
    TIES: tl.constexpr,
):
    """A program has some columns of a block of rows."""
    seed, stream = key_of(seed, stream)
    base = wide(base)
    F: tl.constexpr = tl.float64 if TYPE == tl.float64 else tl.float32
    block = (tl.program_id(0) % blocks).to(tl.int64)
    first = (tl.program_id(0) // blocks).to(tl.int64) * COLUMNS
    column = first + tl.arange(0, COLUMNS)
    inside = column < wide(columns)
    sums = tl.zeros((COLUMNS,), F)
    start = block * ROWS
    for k in range(tl.minimum(wide(rows) - start, ROWS)):
        row = start + k
        own = base + at(row, sizes, steps_mask)
        if ALIGNED:
            eight = ((own + first) >> 3) + tl.arange(0, COLUMNS // 8)
            keep = keep_of_blocks(seed, stream, tie, low, eight, TIES)
        else:
            keep = keep_of(seed, stream, tie, low, own + column * step_mask)
        g = tl.load(G + at(row, sizes, steps_g) + column * step_g, mask=inside)
        y = tl.where(keep, g.to(F) * number(scale, F), 0.0)
        tl.store(Y + at(row, sizes, steps_y) + column * step_y, rounded(y, TYPE), mask=inside)
        sums += y
    tl.store(SUMS + block * wide(columns) + column, sums, mask=inside)


@triton.jit(do_not_specialize=["columns", "blocks"])
def over_blocks(PARTS, SUMS, columns: "i64", blocks: "i64", COLUMNS: tl.constexpr):
    """A program has some columns."""
    column = tl.program_id(0).to(tl.int64) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < wide(columns)
    sums = tl.zeros((COLUMNS,), tl.float64)
    for block in range(wide(blocks)):
        part = tl.load(PARTS + block * wide(columns) + column, mask=inside)
        sums += part.to(tl.float64)
    tl.store(SUMS + column, sums.to(SUMS.dtype.element_ty), mask=inside)


def dropout_add_backward(
    gradient: torch.Tensor,
    key: torch.Tensor,
    dtype: torch.dtype,
    summed: bool,
    p: float,
    scale: float,
    base: int,
    strides: Sequence[int],
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `kernels.add.dropout_add_backward`, of one key."""
    compute = compute_dtype(dtype)
    tie, low = high_and_low(p)
    named, numbers = seed_and_stream(key), (tie, low, bits(scale, compute))
    y = torch.empty_like(gradient, dtype=dtype)
    if not summed:
        walk(AFFINE, y, (gradient,), key, (*numbers, 0, 0), (low != 0, False), base, strides)
        return y, gradient.new_empty(0, dtype=compute)
    columns = gradient.shape[-1]
    if y.numel() == 0:
        return y, gradient.new_zeros(columns, dtype=compute)
    rows = y.numel() // columns
    blocks = triton.cdiv(rows, ROWS)
    *each, last = zip(gradient.shape, gradient.stride(), y.stride(), strides, strict=True)
    # The order of the rows is that of the sums.
    outer = merged([d for d in reversed(each) if d[0] != 1]) or [(1, 0, 0, 0)]
    starts = (base, *(steps[-1] for steps in outer))
    aligned = (last[-1] == 1 or columns == 1) and all(start % PER_BLOCK == 0 for start in starts)
    parts = gradient.new_empty((blocks, columns), dtype=compute)
    tiles = triton.cdiv(columns, COLUMNS)
    with launching(gradient):
        in_blocks[(blocks * tiles,)](
            gradient,
            y.view(AS_BITS[y.element_size()]),
            parts,
            *named,
            *numbers,
            base,
            rows,
            columns,
            blocks,
            *last[1:],
            *zip(*outer, strict=True),
            TYPE=TYPES[dtype],
            ROWS=ROWS,
            COLUMNS=COLUMNS,
            ALIGNED=aligned,
            TIES=low != 0,
            num_warps=1,
            enable_fp_fusion=False,
        )
        if blocks == 1:
            return y, parts[0]
        sums = torch.empty_like(parts[0])
        over_blocks[(tiles,)](
            parts, sums, columns, blocks, COLUMNS=COLUMNS, num_warps=1, enable_fp_fusion=False
        )
    return y, sums
