"""Draws for all elements of a tensor, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from ..contract.layout import row_major
from ..contract.seed import as_int64

# The most elements that one operator works on. On the CPU, torch runs an elementwise operator of
# fewer than 2**15 elements in the calling thread. On more, its threads wait for one another after
# each of the hundred operators of a draw; where another process keeps one from running, all wait.
# A single thread waits for nobody: there, what limits the size is the cache that temporaries stay
# in. Elsewhere the operators should be few.
_SERIAL = 2**15 - 64
_ALONE = 2**17
_LARGE = 2**21

OfRange = Callable[[torch.Tensor, torch.Tensor, int], object]
OfIndices = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def most(device: torch.device, each: float = 1.0) -> int:
    """How many elements to work on at a time, of which each takes `each` of an operator's."""
    if device.type != "cpu":
        return int(_LARGE / each)
    return int((_ALONE if torch.get_num_threads() == 1 else _SERIAL) / each)


def fill(
    out: torch.Tensor,
    keys: torch.Tensor,
    base: int,
    strides: list[int],
    of_range: OfRange,
    of_indices: OfIndices,
    each: float = 1.0,
) -> None:
    """Write the draw of each element's mask index into `out`.

    Args:
        out: `(k, *sizes)`: one tensor for each key.
        keys: `(k, 2)` int64 on the device of `out`.
        base: Mask index of the first element.
        strides: Mask strides, one for each of `sizes`.
        of_range: Writes draws of consecutive indices into a `(k, n)` tensor, given that, `(k, 2)`
            keys and the first index.
        of_indices: Maps `(k, 2)` keys and `(n,)` int64 indices to `(k, n)` draws, each of which
            takes eight elements of an operator: two calls of four words.
        each: How many elements of an operator `of_range` takes for a draw.
    """
    sizes = out.shape[1:]
    in_order = is_row_major(sizes, strides)
    chunk = most(out.device, each if in_order else 8)
    if out.numel() > chunk:
        dim = next(d for d, size in enumerate(out.shape) if size > 1)
        step = max(1, out.shape[dim] * chunk // out.numel())
        for start in range(0, out.shape[dim], step):
            part = out.narrow(dim, start, min(step, out.shape[dim] - start))
            of = keys[start : start + step] if dim == 0 else keys
            at = base if dim == 0 else base + start * strides[dim - 1]
            fill(part, of, at, strides, of_range, of_indices, each)
        return
    if in_order:
        # All parts are contiguous: what is split is the outermost dimension of more than one.
        of_range(out.view(len(keys), -1), keys, base)
    else:
        index = torch.tensor(as_int64(base % 2**64), device=out.device)
        for size, stride in zip(sizes, strides, strict=True):
            index = index.unsqueeze(-1) + torch.arange(size, device=out.device) * stride
        out.copy_(of_indices(keys, index.reshape(-1)).view(out.shape))


def is_row_major(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether mask indices of these strides are consecutive in the order of the elements."""
    expected = row_major(sizes)
    return all(n == 1 or s == e for n, s, e in zip(sizes, strides, expected, strict=True))
