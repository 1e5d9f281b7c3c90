"""Draws for all elements of a tensor, chunk by chunk."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import NamedTuple

import torch

from ..contract.layout import row_major
from ..contract.noise import MIDDLE
from ..contract.seed import as_int64
from ._philox import Philox

# The most elements that one operator works on. On the CPU, torch runs an elementwise operator of
# fewer than 2**15 elements in the calling thread. On more, its threads wait for one another after
# each of the hundred operators of a draw; if another process keeps one from running, all wait.
# A single thread does not wait: there, the cache that temporaries stay in limits the size.
# Elsewhere the operators should be few, and their memory limits the size: up to 32
# bytes for an element, if each has a Philox call of its own.
_SERIAL = 2**15 - 64
_ALONE = 2**17
_LARGE = 3 * 2**23


class Draw(NamedTuple):
    """The draw for a mask index.

    Attributes:
        dtype: The dtype of the result.
        per_block: How many indices a Philox call serves.
        domain: The domain of Philox.
        of_words: Maps the words of `Philox` to the numbers of their indices, in the same memory:
            `(k, m, per_block)`.
        value: Maps the numbers of some indices, `(k, *sizes)`, to the result. It also gets keys,
            the first index and the strides.
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
    """How many elements to work on at a time, if each takes `each` elements of an operator."""
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
        draw: The kind of draw.
        keys: `(k, 2)` int64 on the CPU.
        sizes: The sizes of the tensor that each key has.
        base: Mask index of the first element.
        strides: Mask strides, one for each of `sizes`.
        device: Where the result lies.
        of_range: A faster way for consecutive indices on the CPU.
        each: How many elements of an operator `of_range` takes for a draw.

    Returns:
        `(k, *sizes)`. Elements of consecutive mask indices are neighbours in its memory.
    """
    dims = range(len(sizes))
    order = sorted(dims, key=lambda dim: -abs(strides[dim]))
    shape = len(keys), *(sizes[dim] for dim in order)
    if math.prod(shape) == 0:
        out = torch.empty(shape, dtype=draw.dtype, device=device)
    else:
        by = [strides[dim] for dim in order]
        philox = cache(partial(Philox, keys, draw.domain, device))
        of_range = of_range if is_cpu(device) else None
        out = _drawn(None, shape, draw, keys, philox, base, by, device, of_range, each)
    if order == [*dims]:
        return out
    return out.permute(0, *(1 + order.index(dim) for dim in dims))


def _drawn(
    out: torch.Tensor | None,
    shape: Sequence[int],
    draw: Draw,
    keys: torch.Tensor,
    philox: Callable[[], Philox],
    base: int,
    strides: list[int],
    device: torch.device,
    of_range: OfRange | None,
    each: float,
) -> torch.Tensor:
    """The draws of a shape, which are written into `out` if there is one."""
    per, numel = draw.per_block, math.prod(shape)
    n, outer = _run(shape[1:], strides)
    # Runs begin at a common place of their first block.
    aligned = all(stride % per == 0 for _, stride in outer)
    if is_cpu(device):
        chunk = most(device, 8 if outer else each)
        dim = next((d for d, size in enumerate(shape) if size > 1), 0)  # parts are contiguous
    else:
        # If a call serves many elements, their values take memory, and if they are
        # not aligned their places too.
        light = draw.dtype.itemsize / (4 if aligned else 2)
        chunk = most(device, min(1.0, light) if n >= per else 1.0)
        dim = max(range(len(shape)), key=shape.__getitem__)  # parts are of one size, nearly
    if out is None and (numel > chunk or (of_range is not None and not outer)):
        out = torch.empty(shape, dtype=draw.dtype, device=device)
    if numel > chunk:
        assert out is not None
        size = shape[dim]
        step = -(-size // min(size, -(-numel // chunk)))
        for start in range(0, size, step):
            part = out.narrow(dim, start, min(step, size - start))
            at = base if dim == 0 else base + start * strides[dim - 1]
            some, calls = keys, philox
            if dim == 0:
                some = keys[start : start + step]
                calls = cache(partial(Philox, some, draw.domain, device))
            _drawn(part, part.shape, draw, some, calls, at, strides, device, of_range, each)
        return out
    if of_range is not None and not outer:
        assert out is not None
        of_range(out.view(len(keys), -1), keys, base)
        return out
    # Blocks for the elements of a run. If they are not aligned, there are enough for any place.
    skip = base % per if aligned else per - 1
    count = -(-(skip + n) // per)
    numbers = _numbers(draw, philox(), base, outer, n, count, skip, not aligned)
    value = draw.value(numbers.reshape(shape), keys, base, strides)
    return value if out is None else out.copy_(value)


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
    skip: int,
    placed: bool,
) -> torch.Tensor:
    """The numbers of runs of n indices, `(k, runs, n)`.

    Args:
        draw: As in `draws`.
        philox: The `Philox` of the keys.
        base: The index of the first element.
        outer: The sizes and strides of the runs.
        n: As above.
        count: The Philox calls of each.
        skip: The place of the first in its call.
        placed: Whether that differs from run to run.
    """
    per = draw.per_block
    runs = math.prod(size for size, _ in outer)
    state, places = _blocks(philox, base, outer, per, count, placed)
    numbers = draw.of_words(philox.words(state)).view(-1, runs, per * count)
    del state  # as large as the numbers
    if places is None:
        return numbers if n == per * count else numbers.narrow(-1, skip, n)
    index = places.to(torch.int64).view(runs, 1)
    if n > 1:
        index = index + torch.arange(n, device=index.device)
    return numbers.gather(-1, index.expand(len(numbers), runs, n))


def _blocks(
    philox: Philox,
    base: int,
    outer: Sequence[tuple[int, int]],
    per: int,
    count: int,
    placed: bool,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The blocks of runs, in memory for `Philox.words`, and, if `placed`, where each run begins."""
    device = philox.device
    index = torch.full((1,), as_int64(base % 2**64), dtype=torch.int64, device=device)
    for size, stride in outer:
        steps = torch.arange(size, device=device)
        index = torch.add(index.unsqueeze(-1), steps, alpha=stride)
    # In the first of its blocks: a byte, since it is kept as long as the state.
    places = (index & per - 1).to(torch.uint8) if placed else None
    # The index is unsigned: copies of its top bit are masked off, as is a carry.
    index = index >> per.bit_length() - 1
    if count > 1:
        index = index.unsqueeze(-1) + torch.arange(count, device=device)
    index.bitwise_and_(2**64 // per - 1)
    state = index.new_empty((2, philox.count, index.numel()))
    state[1].copy_(index.flatten())
    return state, places


def is_row_major(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether mask indices with these strides are consecutive in the order of the elements."""
    expected = row_major(sizes)
    return all(n == 1 or s == e for n, s, e in zip(sizes, strides, expected, strict=True))
