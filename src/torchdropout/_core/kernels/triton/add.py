"""`dropout_add` in Triton: `y = residual + (keep ? (x + bias) * scale : 0)`.

Each operation is rounded by itself in the compute type, and the last sum to the type of y.
"""

# Triton reads the annotations of a kernel: no `from __future__ import annotations` here.

from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from ...contract.keep import PER_BLOCK, compute_dtype
from .bernoulli import high_and_low, keep_in_places, keep_in_row
from .elementwise import Map, walk
from .walk import bits, number, rounded


@triton.jit
def value(x, residual, bias, keep, numbers, TYPE: tl.constexpr, KIND: tl.constexpr):
    """The bits of the result; TYPE is that of the residual."""
    F: tl.constexpr = tl.float64 if TYPE == tl.float64 else tl.float32
    y = x.to(F)
    if KIND[1]:
        y = y + bias.to(F)
    return rounded(residual.to(F) + tl.where(keep, y * number(numbers[2], F), 0.0), TYPE)


ADD = Map(keep_in_row, keep_in_places, value, PER_BLOCK)


def dropout_add(
    x: torch.Tensor,
    key: torch.Tensor,
    residual: torch.Tensor,
    bias: torch.Tensor | None,
    p: float,
    scale: float,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """As `kernels.add.dropout_add`, of one key."""
    tie, low = high_and_low(p)
    numbers = tie, low, bits(scale, compute_dtype(x.dtype))
    tensors = (x, residual) if bias is None else (x, residual, bias.expand(x.shape))
    kind = (low != 0, bias is not None)
    y = torch.empty_like(residual)
    return walk(ADD, y, tensors, key, numbers, kind, base, strides)
