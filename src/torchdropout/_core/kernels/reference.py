"""The reference backend: torch operations, any device, straight from `contract`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import groupby
from operator import getitem, mul

import torch

from ..contract.keep import (
    DOMAIN_HIGH,
    DOMAIN_LOW,
    HALF,
    HALF_LOWER,
    PER_BLOCK,
    compute_dtype,
    halves_of_words,
    threshold,
    words_tensor,
)
from ..contract.layout import sizes_drawn
from ..contract.philox import WordTensors
from ..contract.seed import as_int64
from ._fill import Draw, draws, is_cpu, is_row_major, most
from ._philox import halves_in_integers, halves_of_run

Write = Callable[..., object]

SAME_HIGH = PER_BLOCK * 2**32  # mask indices whose blocks have the same high half


def masked_affine(
    x: torch.Tensor,
    key: torch.Tensor,
    p: float,
    scale: float,
    shift: float,
    drop_value: float,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`y = keep ? x * scale + shift : drop_value`, the function every backend computes.

    Args:
        x: Floating-point or complex, any strides. Its first `key.ndim - 1` dimensions are those of
            `key`: each has its own mask.
        key: `(..., 2)` int64 on the CPU: seed and stream.
        p: Drop probability.
        scale: Factor of a kept element, rounded once to the compute type.
        shift: Added to a kept element in the compute type, after the product is rounded; with a
            shift of 0 nothing is added, so that a kept -0.0 keeps its sign.
        drop_value: The value of a dropped element, rounded to the compute type.
        base: Mask index of the first element, its 64 bits as int64.
        strides: Mask strides of the dimensions of x after those of `key`.

    Returns:
        A new tensor laid out as `torch.empty_like(x)`: values of the compute type, rounded to the
        type of x.
    """
    # A complex element is dropped to 0.
    write = _select(x.dtype, scale, shift, 0.0 if x.is_complex() else drop_value)
    lead = key.ndim - 1
    if lead == 0 and threshold(p) < 2**32 and _is_run(x, strides):
        # One pass over the memory suffices: each part is written once its keep bits are known.
        out = torch.empty_like(x)
        _keep_range(write, (out.view(1, -1), x.view(1, -1)), key[None], threshold(p), base)
        return out
    keep = keep_bits(key, x.shape[lead:], p, base, strides, x.device)
    out = torch.empty_like(x)
    if x.is_complex():
        # They are taken as pairs of reals: a complex product would make inf * (scale + 0i) a NaN.
        keep = keep.unsqueeze(-1).expand(*x.shape, 2)
        _in_pieces(write, torch.view_as_real(out), torch.view_as_real(x.resolve_conj()), keep)
    else:
        _in_pieces(write, out, x, keep.expand(x.shape))
    return out


def _is_run(x: torch.Tensor, strides: Sequence[int]) -> bool:
    """Whether the elements lie in the memory of a CPU in the order of their mask indices."""
    in_order = is_row_major(x.shape, strides) and x.is_contiguous()
    return is_cpu(x.device) and in_order and not x.is_complex() and x.numel() > 0


def _select(dtype: torch.dtype, scale: float, shift: float, drop_value: float) -> Write:
    """`write(out, x, keep)`, which selects between values of x, scaled and shifted, and another."""
    dtype = dtype.to_real()
    compute = compute_dtype(dtype)
    as_bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]
    dropped = 0
    if drop_value != 0.0 or math.copysign(1.0, drop_value) < 0.0:
        value = torch.tensor(drop_value, dtype=compute, device="cpu").to(dtype)
        dropped = int(value.view(as_bits))

    def write(out: torch.Tensor, x: torch.Tensor, keep: torch.Tensor) -> None:
        same = dtype == compute
        kept = torch.mul(x, scale, out=out) if same else x.to(compute).mul_(scale)
        if shift != 0.0:
            kept.add_(shift)
        if not same:
            out.copy_(kept)
        # A select, not a product of floats: a dropped value has no effect, even if it is inf or
        # NaN. It is a product of the bits, since `torch.where` handles one element at a time.
        bits = out.view(as_bits)
        if dropped == 0:
            bits.mul_(keep)
        else:
            bits.bitwise_xor_(dropped).mul_(keep).bitwise_xor_(dropped)

    return write


def _in_pieces(function: Callable[..., object], *tensors: torch.Tensor) -> None:
    """Call a function on parts of tensors of one shape, at most as large as an operator's work."""
    first = tensors[0]
    count = -(-first.numel() // most(first.device))
    if count <= 1:
        function(*tensors)
        return
    dim = max(range(first.ndim), key=first.shape.__getitem__)
    parts = (t.tensor_split(min(first.shape[dim], count), dim) for t in tensors)
    for part in zip(*parts, strict=True):
        _in_pieces(function, *part)


def masked_by_rates(
    x: torch.Tensor,
    key: torch.Tensor,
    rates: torch.Tensor,
    scaled: bool,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`masked_affine` with a drop probability for each element, no shift and a drop value of 0."""
    sizes = sizes_drawn(x.shape[key.ndim - 1 :], strides)
    draw = Draw(torch.int16, PER_BLOCK, DOMAIN_HIGH, halves_of_words, lambda high, *_: high)
    high = draws(draw, key.reshape(-1, 2), sizes, base, strides, x.device)
    high = high.view((*key.shape[:-1], *sizes))
    # This is `threshold` of each: the product is exact, and torch rounds halves to even too.
    rates = rates.to(x.device, torch.float64)
    limits = (rates * 2.0**32).round_().to(torch.int64)
    tie = (limits >> 16).sub_(HALF_LOWER).to(torch.int32)
    low_limit = limits.bitwise_and_(HALF).sub_(HALF_LOWER).to(torch.int16)
    del limits
    keep = _settled(high, tie, low_limit, key, base, strides).expand(x.shape)
    del high, tie, low_limit
    compute = compute_dtype(x.dtype)
    if scaled:
        factor = (1.0 - rates).reciprocal_().masked_fill_(rates == 1.0, 0.0).to(compute)
    else:
        factor = torch.ones((), dtype=compute, device=x.device)
    out = torch.empty_like(x)
    into, reals = out, x
    if x.is_complex():
        into, reals = torch.view_as_real(out), torch.view_as_real(x.resolve_conj())
        keep, factor = keep.unsqueeze(-1), factor.unsqueeze(-1)
    into.copy_(torch.where(keep, reals.to(compute) * factor, 0.0))
    return out


def keep_bits(
    key: torch.Tensor,
    shape: Sequence[int],
    p: float,
    base: int,
    strides: Sequence[int],
    device: torch.device,
) -> torch.Tensor:
    """The keep bits of tensors of `shape`, one for each key; size 1 along shared dimensions.

    Args:
        key: `(..., 2)` int64.
        shape: Sizes of the dimensions after those of the keys.
        p: Drop probability.
        base: Mask index of the first element, its 64 bits as int64.
        strides: Mask strides, one for each size.
        device: Where the bits are computed.

    Returns:
        A bool tensor of shape `(*key.shape[:-1], *sizes)`, True where kept.
    """
    sizes = sizes_drawn(shape, strides)
    limit = threshold(p)
    if limit == 2**32:
        return torch.zeros((*key.shape[:-1], *sizes), dtype=torch.bool, device=device)
    keys = key.reshape(-1, 2)
    tie, low_limit = (limit >> 16) - HALF_LOWER, (limit & HALF) - HALF_LOWER

    def settled(
        high: torch.Tensor, keys: torch.Tensor, base: int, strides: Sequence[int]
    ) -> torch.Tensor:
        return _settled(high, tie, low_limit, keys, base, strides)

    out = draws(
        Draw(torch.bool, PER_BLOCK, DOMAIN_HIGH, halves_of_words, settled),
        keys,
        sizes,
        base,
        strides,
        device,
        lambda out, keys, base: _keep_into(out, keys, limit, base),
        _numbers_of_each(len(keys), math.prod(sizes) or 1),
    )
    return out.view((*key.shape[:-1], *sizes))


def _settled(
    high: torch.Tensor,
    tie: int | torch.Tensor,
    low_limit: int | torch.Tensor,
    key: torch.Tensor,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """Whether uniforms are at least the limit, by their high halves if these do not tie with it.

    If they tie, one in 65,536, the low half decides: its word is computed only there.

    Args:
        high: The high halves, each less by `HALF_LOWER`.
        tie: The high half of the limit, less likewise: for all, or for each.
        low_limit: Its low half, less likewise.
        key: `(..., 2)` int64 on the CPU: of the first dimensions of the halves.
        base: The mask index of the first of each key.
        strides: Mask strides of the other dimensions.
    """
    if not isinstance(low_limit, torch.Tensor) and low_limit == -HALF_LOWER:
        return high >= tie
    tied = high == tie
    places = _places(tied.sum_to_size(high.shape))
    if len(places) == 0:
        return high > tie
    numbers, lead, found = key.tolist(), key.ndim - 1, list[int]()
    for of_key, some in groupby(places.tolist(), lambda place: place[:lead]):
        seed, stream = reduce(getitem, of_key, numbers)
        steps = (map(mul, place[lead:], strides) for place in some)
        indices = [(base + sum(step)) % 2**64 for step in steps]
        found += halves_in_integers(seed % 2**64, stream, DOMAIN_LOW, indices)
    low = torch.zeros_like(high)
    low[places.unbind(1)] = torch.tensor([n - HALF_LOWER for n in found]).to(low)
    return torch.where(tied, low >= low_limit, high > tie)


def _places(tied: torch.Tensor) -> torch.Tensor:
    """Where halves tie; on a device without memory, a test sets it."""
    return tied.nonzero()


def packed_bits(
    like: torch.Tensor,
    key: torch.Tensor,
    p: float,
    shape: Sequence[int],
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`keep_bits`, eight in a byte: the first is the lowest bit, and those after the last are 0."""
    keep = keep_bits(key, shape, p, base, strides, like.device)
    count = math.prod(keep.shape[key.ndim - 1 :])
    bits = keep.view(torch.uint8).reshape(*key.shape[:-1], count)
    bits = torch.nn.functional.pad(bits, (0, -count % PER_BLOCK))
    places = torch.arange(PER_BLOCK, dtype=torch.uint8, device=like.device)
    bits = bits.unflatten(-1, (-1, PER_BLOCK)) << places
    packed: torch.Tensor = bits.sum(-1, dtype=torch.uint8)
    return packed


def _numbers_of_each(k: int, n: int) -> float:
    """How many of an operator's numbers `_keep_range` takes for one of n indices of k keys."""
    if k == 1:
        return 1 / n  # it works on some at a time
    return 2 * ((n + 14) // PER_BLOCK) / n  # two words for each block that n indices can touch


def _keep_into(out: torch.Tensor, keys: torch.Tensor, limit: int, base: int) -> None:
    """Write the keep bits of consecutive mask indices."""
    _keep_range(torch.Tensor.copy_, [out], keys, limit, base)


def _keep_range(
    write: Write, tensors: Sequence[torch.Tensor], keys: torch.Tensor, limit: int, base: int
) -> None:
    """Call `write(*parts, keep)` with the keep bits of consecutive mask indices, part by part.

    Each Philox call serves eight.

    Args:
        write: A function of a part of each tensor and of its keep bits, integers of 0 and 1. It is
            called twice for a few elements, and the second call decides.
        tensors: `(k, n)`; the first is written.
        keys: `(k, 2)` int64 on the CPU.
        limit: The number that uniforms are compared with.
        base: The first mask index.
    """
    base %= 2**64
    n = tensors[0].shape[1]
    fitting = SAME_HIGH - base % SAME_HIGH
    if n > fitting:
        _keep_range(write, [t[:, fitting:] for t in tensors], keys, limit, base + fitting)
        tensors, n = [t[:, :fitting] for t in tensors], fitting
    # From here on, elements are counted from the first of the block that holds the first.
    block, skip = divmod(base, PER_BLOCK)
    end = skip + n
    blocks = -(-end // PER_BLOCK)
    at_once = min(blocks, most(keys.device, 2 * len(keys)))
    at_once = -(-blocks // -(-blocks // at_once))
    run = PER_BLOCK * at_once
    width = run if len(keys) * run <= most(keys.device) else 2 * at_once
    sizes = [min(width, end - start) for start in range(0, end, width)]
    sizes[0] -= skip
    parts = zip(sizes, *(t.split(sizes, 1) for t in tensors), strict=True)

    tie = (limit >> 16) - HALF_LOWER
    # The results are int16, since torch compares into bool one element at a time.
    keep = torch.empty((len(keys), width), dtype=torch.int16, device="cpu")
    tied = torch.empty((len(keys), run), dtype=torch.int16, device="cpu")
    rows: list[list[int]] = []
    places: list[list[int]] = []
    first = -skip
    for high in halves_of_run(keys, DOMAIN_HIGH, block, blocks, at_once):
        for some, ties in zip(high.split(width, 1), tied.split(width, 1), strict=True):
            torch.eq(some, tie, out=ties)
            size, *part = next(parts, (0,))
            if size > 0:
                torch.gt(some, tie, out=keep)
                write(*part, keep if size == width else keep[:, skip : skip + size])
                skip = 0
        # The low half decides where the high half ties: one element in 65,536. The fours with a tie
        # take a quarter of the time to find.
        for row, four in tied.view(torch.int64).nonzero().tolist():
            rows.append([row])
            places.append([max(0, min(first + 4 * four + i, n - 1)) for i in range(4)])
        first += run
    if rows:
        at = torch.tensor(rows, device="cpu"), torch.tensor(places, device="cpu")
        uniform = _uniform_indices(keys[at[0].squeeze(1)], at[1] + as_int64(base))
        some = [t[at] for t in tensors]
        write(*some, uniform >= limit)
        tensors[0][at] = some[0]


def _uniform_indices(keys: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Uniforms of any mask indices, with one Philox call in each domain for every index."""
    block = index >> 3 & (2**61 - 1)  # the index is unsigned: mask off the copies of its top bit
    both = words_tensor(keys[:, None], _domains(keys.device), block)
    high, low = _take(both, index.expand(both[0].shape)).unbind()
    return high << 16 | low


def _domains(device: torch.device) -> torch.Tensor:
    """The domains of the high and low halves, to broadcast with `(k, n)` words."""
    return torch.tensor((DOMAIN_HIGH, DOMAIN_LOW), device=device).view(2, 1, 1)


def _take(four: WordTensors, index: torch.Tensor) -> torch.Tensor:
    """The half of each index among the words of its Philox call."""
    word = torch.stack(four, dim=-1).gather(-1, (index >> 1 & 3).unsqueeze(-1)).squeeze(-1)
    half: torch.Tensor = word >> 16 * (index & 1) & HALF
    return half
