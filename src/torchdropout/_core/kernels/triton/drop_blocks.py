"""`drop_blocks` in Triton: `keep ? x * scale : 0`, where a place is kept if all its seeds are.

The seeds are a map of their own, made once by the kernel of `masked_affine`. This kernel reads, for
each place, those of the blocks that cover it: neighbours read the same ones, out of a cache.
"""

# Triton reads the annotations of a kernel: no `from __future__ import annotations` here.

from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from ...contract.keep import compute_dtype
from ...contract.layout import sizes_drawn
from .bernoulli import masked_affine
from .walk import (
    AS_BITS,
    PLACES,
    TYPES,
    at,
    bits,
    dimensions,
    launching,
    number,
    places,
    rounded,
    wide,
)


@triton.jit(do_not_specialize=["scale", "n", "block"])
def in_places(
    X,
    SEEDS,
    Y,
    scale: "i64",
    n: "i64",
    block: "i32",
    sizes,
    steps_x,
    steps_seeds,
    steps_y,
    step_2,
    step_1,
    step_0,
    DIMS: tl.constexpr,
    TYPE: tl.constexpr,
    PLACES: tl.constexpr,
    WIDE: tl.constexpr,
):
    """A program has PLACES elements; step_0 is the stride of the seeds' last dimension."""
    F: tl.constexpr = tl.float64 if TYPE == tl.float64 else tl.float32
    i, inside = places(n, PLACES, WIDE)
    first = SEEDS + at(i, sizes, steps_seeds)
    keep = tl.full((PLACES,), -1, tl.int16)
    for _2 in range(block if DIMS > 2 else 1):
        for _1 in range(block if DIMS > 1 else 1):
            for _0 in range(block):
                seed = first + (wide(_2) * step_2 + wide(_1) * step_1 + wide(_0) * step_0)
                keep = keep & tl.load(seed, mask=inside, other=0)
    x = tl.load(X + at(i, sizes, steps_x), mask=inside)
    y = tl.where(keep != 0, x.to(F) * number(scale, F), 0.0)
    tl.store(Y + at(i, sizes, steps_y), rounded(y, TYPE), mask=inside)


def drop_blocks(
    x: torch.Tensor,
    key: torch.Tensor,
    dims: int,
    block: int,
    count: bool,
    rate: float,
    scale: float,
    eps: float,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """As the kernel of `ops.drop_blocks`, of one key and without a count."""
    y = torch.empty_like(x)
    if y.numel() == 0:
        return y
    sizes = [*x.shape[:-dims], *(size + block - 1 for size in x.shape[-dims:])]
    ones = torch.ones(sizes_drawn(sizes, strides), dtype=torch.bfloat16, device=x.device)
    # A kept seed is -1.0, whose sign bit distinguishes it from 0.0.
    seeds = masked_affine(ones, key, rate, -1.0, 0.0, 0.0, base, strides).view(torch.int16)
    seeds >>= 15
    own = [0 if n == 1 else step for n, step in zip(seeds.shape, seeds.stride(), strict=True)]
    each = dimensions(x.shape, x.stride(), own, y.stride(), own)
    with launching(x):
        in_places[(triton.cdiv(x.numel(), PLACES),)](
            x,
            seeds,
            y.view(AS_BITS[y.element_size()]),
            bits(scale, compute_dtype(x.dtype)),
            x.numel(),
            block,
            *list(zip(*each, strict=True))[:4],
            *(0, 0, *own[-dims:])[-3:],
            DIMS=dims,
            TYPE=TYPES[x.dtype],
            PLACES=PLACES,
            WIDE=x.numel() >= 2**31,
            enable_fp_fusion=False,
        )
    return y
