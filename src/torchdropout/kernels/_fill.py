"""Draws for all elements of a tensor, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from ..contract.layout import row_major
from ..contract.seed import as_int64

# The most elements that one operator works on. On the CPU, torch runs an elementwise operator of
# fewer than 2**15 elements in the calling thread. On more, its threads wait for one another after
# each of the hundred operators of a draw; where another process keeps one from running, all wait.
# A single thread waits for nobody: there, what limits the size is the cache that temporaries stay
# in. Elsewhere the operators should be few, and what limits the size is their memory.
_SERIAL = 2**15 - 64
_ALONE = 2**17
_LARGE = 3 * 2**23


class Draw(NamedTuple):
    """What is drawn for a mask index.

    Attributes:
        dtype: The dtype of the result.
        per_block: How many indices a Philox call serves.
        of_blocks: Maps `(k, 2)` keys on the CPU and `(m,)` Philox calls to the numbers of their
            indices: `(..., k, per_block * m)`.
        value: Maps those of some indices to the result.
    """

    dtype: torch.dtype
    per_block: int
    of_blocks: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    value: Callable[[torch.Tensor], torch.Tensor]


# Writes the draws of consecutive indices into a `(k, n)` tensor, given that, `(k, 2)` keys and the
# first index.
OfRange = Callable[[torch.Tensor, torch.Tensor, int], object]


def is_cpu(device: torch.device) -> bool:
    """Whether operators should be small rather than few; a test lets a CPU be another device."""
    return device.type == "cpu"


def most(device: torch.device, each: float = 1.0) -> int:
    """How many elements to work on at a time, of which each takes `each` of an operator's."""
    if not is_cpu(device):
        return int(_LARGE / each)
    return int((_ALONE if torch.get_num_threads() == 1 else _SERIAL) / each)


def draws(
    draw: Draw,
    keys: torch.Tensor,
    sizes: Sequence[int],
    base: int,
    strides: Sequence[int],
    device: torch.device,
    of_range: OfRange | None = None,
    each: float = 1.0,
) -> torch.Tensor:
    """The draw of each element's mask index.

    Args:
        draw: What is drawn.
        keys: `(k, 2)` int64 on the CPU.
        sizes: The sizes of the tensor that each key has.
        base: Mask index of the first element.
        strides: Mask strides, one for each of `sizes`.
        device: Where the result lies.
        of_range: A faster way for consecutive indices on the CPU.
        each: How many elements of an operator that takes for a draw.

    Returns:
        `(k, *sizes)`. Elements of consecutive mask indices are neighbours in its memory.
    """
    order = sorted(range(len(sizes)), key=lambda dim: -abs(strides[dim]))
    out = torch.empty((len(keys), *(sizes[dim] for dim in order)), dtype=draw.dtype, device=device)
    if out.numel() > 0:
        of_range = of_range if is_cpu(device) else None
        _fill(out, draw, keys, base, [strides[dim] for dim in order], of_range, each)
    return out.permute(0, *(1 + order.index(dim) for dim in range(len(sizes))))


def _fill(
    out: torch.Tensor,
    draw: Draw,
    keys: torch.Tensor,
    base: int,
    strides: list[int],
    of_range: OfRange | None,
    each: float,
) -> None:
    sizes, per = list(out.shape[1:]), draw.per_block
    n, outer = _run(sizes, strides)
    # Blocks for the elements of a run. Without a common place of the first one in its block, there
    # are enough for any place.
    aligned = all(stride % per == 0 for _, stride in outer)
    skip = base % per if aligned else per - 1
    count = -(-(skip + n) // per)
    if is_cpu(out.device):
        chunk = most(out.device, 8 if outer else each)
    else:
        chunk = most(out.device, per * count / n)
    if out.numel() > chunk:
        dim = next(d for d, size in enumerate(out.shape) if size > 1)
        step = max(1, out.shape[dim] * chunk // out.numel())
        for start in range(0, out.shape[dim], step):
            part = out.narrow(dim, start, min(step, out.shape[dim] - start))
            of = keys[start : start + step] if dim == 0 else keys
            at = base if dim == 0 else base + start * strides[dim - 1]
            _fill(part, draw, of, at, strides, of_range, each)
        return
    # All parts are contiguous: what is split is the outermost dimension of more than one.
    if of_range is not None and not outer:
        of_range(out.view(len(keys), -1), keys, base)
        return
    index = torch.full((), as_int64(base % 2**64), dtype=torch.int64, device=out.device)
    for size, stride in outer:
        index = index.unsqueeze(-1) + torch.arange(size, device=out.device) * stride
    firsts = index.reshape(-1, 1)
    into = out.view(len(keys), len(firsts), n)
    into.copy_(draw.value(_numbers(draw, keys, firsts, n, count, skip if aligned else None)))


def _run(sizes: Sequence[int], strides: Sequence[int]) -> tuple[int, list[tuple[int, int]]]:
    """How many elements have consecutive indices, and the sizes and strides outside of these."""
    n, outer = 1, list[tuple[int, int]]()
    for size, stride in reversed(list(zip(sizes, strides, strict=True))):
        if size > 1:
            if stride == n and not outer:
                n *= size
            else:
                outer.insert(0, (size, stride))
    return n, outer


def _numbers(
    draw: Draw, keys: torch.Tensor, firsts: torch.Tensor, n: int, count: int, skip: int | None
) -> torch.Tensor:
    """The numbers of runs of n indices, `(..., k, runs, n)`.

    Args:
        draw: As in `draws`.
        keys: As there.
        firsts: `(runs, 1)`, the first index of each.
        n: As above.
        count: The Philox calls of each.
        skip: The place of the first in its call, or None where that differs.
    """
    per, device = draw.per_block, firsts.device
    # The index is unsigned: copies of its top bit are masked off, as is a carry.
    blocks = (firsts >> per.bit_length() - 1) + torch.arange(count, device=device)
    numbers = draw.of_blocks(keys, blocks.bitwise_and_(2**64 // per - 1).flatten())
    numbers = numbers.view(*numbers.shape[:-1], len(firsts), per * count)
    if skip is not None:
        return numbers.narrow(-1, skip, n)
    places = (firsts & per - 1) + torch.arange(n, device=device)
    return numbers.gather(-1, places.expand(*numbers.shape[:-1], n))


def is_row_major(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether mask indices of these strides are consecutive in the order of the elements."""
    expected = row_major(sizes)
    return all(n == 1 or s == e for n, s, e in zip(sizes, strides, expected, strict=True))
