"""`residual + dropout(x + bias)` and its gradient in torch operations, any device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ..contract.keep import compute_dtype
from ._check import check_memory
from .reference import masked_affine

ROWS = 256  # of a block, whose rows are summed one after the other in the compute type


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
    """`y = residual + (keep ? (x + bias) * scale : 0)`, each operation in the compute type.

    Args:
        x: Floating-point, any strides.
        key: `(2,)` int64 on the CPU: seed and stream.
        residual: A tensor of the shape of x, and of its dtype or its compute type.
        bias: One number for each element of the last dimension, or None.
        p: Drop probability.
        scale: Factor of a kept element.
        base: Mask index of the first element, its 64 bits as int64.
        strides: Mask strides of the dimensions of x.

    Returns:
        A new tensor laid out as `torch.empty_like(residual)`.
    """
    check_memory(residual, bias)
    value = x.to(compute_dtype(x.dtype))
    if bias is not None:
        value = value + bias.to(value.dtype)
    value = masked_affine(value, key, p, scale, 0.0, 0.0, base, strides)
    return torch.empty_like(residual).copy_(residual.to(value.dtype) + value)


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
    """The gradient of x, `keep ? gradient * scale : 0`, and that of the bias, its sums.

    Args:
        gradient: The gradient of the result, in the dtype of the residual.
        key: As in `dropout_add`.
        dtype: That of x.
        summed: Whether there is a bias.
        p: As there.
        scale: As there.
        base: As there.
        strides: As there.

    Returns:
        The gradient of x, rounded once, laid out as the given one; and the sums of the last
        dimension's elements before the rounding, in the compute type. Blocks of `ROWS` rows are
        summed in that type, row after row, and the blocks in float64. The sums are empty unless
        they were requested.
    """
    compute = compute_dtype(dtype)
    wide = masked_affine(gradient.to(compute), key, p, scale, 0.0, 0.0, base, strides)
    y = torch.empty_like(gradient, dtype=dtype).copy_(wide)
    if not summed:
        return y, gradient.new_empty(0, dtype=compute)
    rows = wide.reshape(math.prod(wide.shape[:-1]), wide.shape[-1])
    if rows.numel() == 0:
        return y, rows.new_zeros(rows.shape[1])
    blocks = _sums(rows, ROWS)
    (sums,) = _sums(blocks.to(torch.float64), len(blocks))
    return y, sums.to(compute)


def _sums(rows: torch.Tensor, count: int) -> torch.Tensor:
    """The sums of each `count` rows, and of those that are left, one row after the other.

    It is a pool whose windows are divided by 1: torch's kernels for the CPU and for CUDA start each
    sum at 0 and add the numbers of a window in their order, in their type. `torch.sum` has another
    order, and an addition for each row would take as many operators.
    """
    # As the rows lie in memory, the channels are last, and the CPU adds them as vectors.
    pooled = torch.nn.functional.avg_pool2d(
        rows.t()[None, :, :, None], (count, 1), ceil_mode=True, divisor_override=1
    )
    return pooled[0, :, :, 0].t()
