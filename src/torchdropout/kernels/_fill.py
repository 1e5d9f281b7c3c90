"""Draws for all elements of a tensor, chunk by chunk."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from ..contract.layout import row_major
from ..contract.seed import as_int64

# Elements worked on at a time. Philox holds about ten int64 temporaries an eighth that long: they
# stay in a second-level cache, and the memory beyond input and output does not grow with the input.
CHUNK = 2**18

OfRange = Callable[[torch.Tensor, int, int], torch.Tensor]
OfIndices = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def fill(
    out: torch.Tensor,
    keys: torch.Tensor,
    base: int,
    strides: list[int],
    of_range: OfRange,
    of_indices: OfIndices,
) -> None:
    """Write the draw of each element's mask index into `out`.

    Args:
        out: `(k, *sizes)`: one tensor for each key.
        keys: `(k, 2)` int64 on the device of `out`.
        base: Mask index of the first element.
        strides: Mask strides, one for each of `sizes`.
        of_range: Maps `(k, 2)` keys, a base and n to `(k, n)` draws of consecutive indices.
        of_indices: Maps `(k, 2)` keys and `(n,)` int64 indices to `(k, n)` draws.
    """
    sizes = out.shape[1:]
    if out.numel() > CHUNK:
        dim = next(d for d, size in enumerate(out.shape) if size > 1)
        step = max(1, out.shape[dim] * CHUNK // out.numel())
        for start in range(0, out.shape[dim], step):
            part = out.narrow(dim, start, min(step, out.shape[dim] - start))
            if dim == 0:
                fill(part, keys[start : start + step], base, strides, of_range, of_indices)
            else:
                at = base + start * strides[dim - 1]
                fill(part, keys, at, strides, of_range, of_indices)
        return
    if _is_row_major(sizes, strides):
        out.copy_(of_range(keys, base, math.prod(sizes)).view(out.shape))
    else:
        index = torch.tensor(as_int64(base % 2**64), device=out.device)
        for size, stride in zip(sizes, strides, strict=True):
            index = index.unsqueeze(-1) + torch.arange(size, device=out.device) * stride
        out.copy_(of_indices(keys, index.reshape(-1)).view(out.shape))


def _is_row_major(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    expected = row_major(sizes)
    return all(n == 1 or s == e for n, s, e in zip(sizes, strides, expected, strict=True))
