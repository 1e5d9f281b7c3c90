"""Draws for all elements of a tensor, chunk by chunk."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from ..contract.layout import row_major
from ..contract.noise import MIDDLE
from ..contract.seed import as_int64
from ._philox import Philox

# The most elements that one operator works on. On the CPU, torch runs an elementwise operator of
# fewer than 2**15 elements in the calling thread. On more, its threads wait for one another after
# each of the hundred operators of a draw; where another process keeps one from running, all wait.
# A single thread waits for nobody: there, what limits the size is the cache that temporaries stay
# in. Elsewhere the operators should be few, and what limits the size is their memory: that of the
# elements, or of Philox calls, each of which takes 32 bytes.
_SERIAL = 2**15 - 64
_ALONE = 2**17
_LARGE = 3 * 2**23
_CALLS = 9 * 2**21


class Draw(NamedTuple):
    """What is drawn for a mask index.

    Attributes:
        dtype: The dtype of the result.
        per_block: How many indices a Philox call serves.
        domain: That of Philox.
        of_words: Maps the words of `Philox` to the numbers of their indices, in the same memory:
            `(k, per_block * m)`.
        value: Maps the numbers of some indices, `(k, *sizes)`, to the result. It is given the keys,
            the first index and the strides too.
    """

    dtype: torch.dtype
    per_block: int
    domain: int
    of_words: Callable[[torch.Tensor], torch.Tensor]
    value: Callable[[torch.Tensor, torch.Tensor, int, Sequence[int]], torch.Tensor]


def centred(words: torch.Tensor) -> torch.Tensor:
    """Words less by `contract.noise.MIDDLE`, in their memory."""
    return words.bitwise_xor_(-MIDDLE)


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
        by = [strides[dim] for dim in order]
        _fill(out, draw, keys, Philox(keys, draw.domain, device), base, by, of_range, each)
    return out.permute(0, *(1 + order.index(dim) for dim in range(len(sizes))))


def _fill(
    out: torch.Tensor,
    draw: Draw,
    keys: torch.Tensor,
    philox: Philox,
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
        dim = next((d for d, size in enumerate(out.shape) if size > 1), 0)
    else:
        chunk = min(_LARGE, _CALLS * n // count)
        dim = max(range(out.ndim), key=out.shape.__getitem__)
    if out.numel() > chunk:
        size = out.shape[dim]
        step = -(-size // min(size, -(-out.numel() // chunk)))
        for start in range(0, size, step):
            part = out.narrow(dim, start, min(step, size - start))
            at = base if dim == 0 else base + start * strides[dim - 1]
            some, calls = keys, philox
            if dim == 0:
                some = keys[start : start + step]
                calls = Philox(some, draw.domain, out.device)
            _fill(part, draw, some, calls, at, strides, of_range, each)
        return
    # On the CPU all parts are contiguous: what is split is the outermost dimension of more than
    # one.
    if of_range is not None and not outer:
        of_range(out.view(len(keys), -1), keys, base)
        return
    of_runs = _numbers(draw, philox, base, outer, n, count, skip if aligned else None)
    out.copy_(draw.value(of_runs.reshape(out.shape), keys, base, strides))


def _run(sizes: Sequence[int], strides: Sequence[int]) -> tuple[int, list[tuple[int, int]]]:
    """How many elements have consecutive indices, and the sizes and strides outside of these."""
    n, outer = 1, list[tuple[int, int]]()
    for size, stride in reversed(list(zip(sizes, strides, strict=True))):
        if size > 1:
            if stride == n and not outer:
                n *= size
            elif outer and stride == math.prod(outer[0]):
                outer[0] = size * outer[0][0], outer[0][1]
            else:
                outer.insert(0, (size, stride))
    return n, outer


def _numbers(
    draw: Draw,
    philox: Philox,
    base: int,
    outer: Sequence[tuple[int, int]],
    n: int,
    count: int,
    skip: int | None,
) -> torch.Tensor:
    """The numbers of runs of n indices, `(k, runs, n)`.

    Args:
        draw: As in `draws`.
        philox: Of the keys.
        base: The index of the first element.
        outer: The sizes and strides of the runs.
        n: As above.
        count: The Philox calls of each.
        skip: The place of the first in its call, or None where that differs.
    """
    per = draw.per_block
    state, places = _blocks(philox, base, outer, per, count)
    runs = places.numel()
    numbers = draw.of_words(philox.words(state))
    del state  # as large as the numbers
    numbers = numbers.view(-1, runs, per * count)
    if skip is not None:
        return numbers.narrow(-1, skip, n)
    index = places.to(torch.int64).view(runs, 1)
    if n > 1:
        index = index + torch.arange(n, device=index.device)
    return numbers.gather(-1, index.expand(len(numbers), runs, n))


def _blocks(
    philox: Philox, base: int, outer: Sequence[tuple[int, int]], per: int, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The blocks of runs, in memory for `Philox.words`, and where each begins in its first."""
    device = philox.device
    index = torch.full((1,), as_int64(base % 2**64), dtype=torch.int64, device=device)
    for size, stride in outer:
        steps = torch.arange(size, device=device)
        index = torch.add(index.unsqueeze(-1), steps, alpha=stride)
    places = index.bitwise_and(per - 1).to(torch.uint8)  # a byte, since they are kept
    # The index is unsigned: copies of its top bit are masked off, as is a carry.
    index = index >> per.bit_length() - 1
    if count > 1:
        index = index.unsqueeze(-1) + torch.arange(count, device=device)
    index.bitwise_and_(2**64 // per - 1)
    state = index.new_empty((2, philox.count, index.numel()))
    state[1].copy_(index.flatten())
    return state, places


def is_row_major(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether mask indices of these strides are consecutive in the order of the elements."""
    expected = row_major(sizes)
    return all(n == 1 or s == e for n, s, e in zip(sizes, strides, expected, strict=True))
