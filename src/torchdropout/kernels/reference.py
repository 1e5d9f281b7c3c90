"""The reference backend: torch operations, any device, straight from `contract`."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .._validate import check_rates
from ..contract.keep import (
    DOMAIN_HIGH,
    DOMAIN_LOW,
    HALF,
    PER_BLOCK,
    compute_dtype,
    halves,
    threshold,
    words_tensor,
)
from ..contract.layout import sizes_drawn
from ._fill import CHUNK, fill


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
    out = torch.empty_like(x)
    lead = key.ndim - 1
    keep = keep_bits(key, x.shape[lead:], p, base, strides, x.device)
    if x.is_complex():
        # Treated as pairs of reals: a complex product would turn inf * (scale + 0i) into a NaN.
        keep = keep.unsqueeze(-1).expand(*x.shape, 2)
        _select(
            torch.view_as_real(out), torch.view_as_real(x.resolve_conj()), keep, scale, shift, 0.0
        )
    else:
        _select(out, x, keep.expand(x.shape), scale, shift, drop_value)
    return out


def _select(
    out: torch.Tensor,
    x: torch.Tensor,
    keep: torch.Tensor,
    scale: float,
    shift: float,
    drop_value: float,
) -> None:
    if x.numel() > CHUNK:
        dim = max(range(x.ndim), key=x.shape.__getitem__)
        pieces = max(2, min(x.shape[dim], x.numel() // CHUNK))
        parts = (t.tensor_split(pieces, dim) for t in (out, x, keep))
        for part_out, part_x, part_keep in zip(*parts, strict=True):
            _select(part_out, part_x, part_keep, scale, shift, drop_value)
        return
    kept = x.to(compute_dtype(x.dtype)) * scale
    if shift != 0.0:
        kept = kept + shift
    # A select, not a product: a dropped value has no effect, even if it is inf or NaN.
    out.copy_(torch.where(keep, kept, kept.new_tensor(drop_value)))


def masked_by_rates(
    x: torch.Tensor,
    key: torch.Tensor,
    rates: torch.Tensor,
    scaled: bool,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`masked_affine` with a drop probability for each element, no shift and a drop value of 0.

    Args:
        x: As there.
        key: As there.
        rates: The probabilities, float64: as many dimensions as x, of its sizes or of size 1.
        scaled: Whether a kept element is scaled by 1 / (1 - p).
        base: As there.
        strides: As there.

    Raises:
        ArgumentValueError: A probability is NaN or outside [0, 1].
    """
    check_rates(rates)
    rates = rates.to(x.device)
    uniform = uniforms(key, x.shape[key.ndim - 1 :], base, strides, x.device)
    # As `threshold` of each: the product is exact, and torch rounds halves to even too.
    keep = (uniform >= (rates * 2.0**32).round().to(torch.int64)).expand(x.shape)
    compute = compute_dtype(x.dtype)
    factor = torch.ones_like(rates)
    if scaled:
        factor = torch.where(rates < 1.0, 1.0 / (1.0 - rates), 0.0)
    factor = factor.to(compute)
    out = torch.empty_like(x)
    into, reals = out, x
    if x.is_complex():
        into, reals = torch.view_as_real(out), torch.view_as_real(x.resolve_conj())
        keep, factor = keep.unsqueeze(-1), factor.unsqueeze(-1)
    into.copy_(torch.where(keep, reals.to(compute) * factor, 0.0))
    return out


def uniforms(
    key: torch.Tensor,
    shape: Sequence[int],
    base: int,
    strides: Sequence[int],
    device: torch.device,
) -> torch.Tensor:
    """The uniforms that keep bits are comparisons of, int64; the arguments are those of these."""
    sizes = sizes_drawn(shape, strides)
    keys = key.reshape(-1, 2).to(device)
    out = torch.empty((keys.shape[0], *sizes), dtype=torch.int64, device=device)
    if out.numel() > 0:
        fill(out, keys, base, list(strides), _uniform_range, _uniform_indices)
    return out.view((*key.shape[:-1], *sizes))


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
    keys = key.reshape(-1, 2).to(device)
    out = torch.empty((keys.shape[0], *sizes), dtype=torch.bool, device=device)
    if out.numel() > 0:
        limit = threshold(p)
        fill(
            out,
            keys,
            base,
            list(strides),
            lambda keys, base, n: _keep_range(keys, limit, base, n),
            lambda keys, index: _uniform_indices(keys, index) >= limit,
        )
    return out.view((*key.shape[:-1], *sizes))


def _keep_range(keys: torch.Tensor, limit: int, base: int, n: int) -> torch.Tensor:
    """Keep bits of the mask indices `base` to `base + n - 1`: each Philox call serves eight."""
    blocks, skip = _blocks_of_range(base, n, keys.device)
    high = halves(words_tensor(keys[:, None], DOMAIN_HIGH, blocks))
    keep = high > limit >> 16
    # The low half decides only where the high half ties: one element in 65,536.
    ties = (high == limit >> 16).nonzero()
    if len(ties) > 0:
        row, block, place = ties.unbind(-1)
        low = halves(words_tensor(keys[row], DOMAIN_LOW, blocks[block]))
        keep[row, block, place] = _take(low, place) >= limit & HALF
    return keep.flatten(1)[:, skip : skip + n]


def _uniform_range(keys: torch.Tensor, base: int, n: int) -> torch.Tensor:
    """Uniforms of the mask indices `base` to `base + n - 1`."""
    blocks, skip = _blocks_of_range(base, n, keys.device)
    high, low = (
        halves(words_tensor(keys[:, None], domain, blocks)) for domain in (DOMAIN_HIGH, DOMAIN_LOW)
    )
    return (high << 16 | low).flatten(1)[:, skip : skip + n]


def _blocks_of_range(base: int, n: int, device: torch.device) -> tuple[torch.Tensor, int]:
    """The Philox calls that serve a range of mask indices, and the place of the first in them."""
    first, skip = divmod(base % 2**64, PER_BLOCK)
    blocks = torch.arange((skip + n + PER_BLOCK - 1) // PER_BLOCK, device=device) + first
    return blocks & (2**61 - 1), skip  # indices are modulo 2**64


def _uniform_indices(keys: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Uniforms of any mask indices, with one Philox call in each domain for every index."""
    block = index >> 3 & (2**61 - 1)  # the index is unsigned: mask off the copies of its top bit
    place = (index & (PER_BLOCK - 1)).expand(keys.shape[0], -1)
    high, low = (
        _take(halves(words_tensor(keys[:, None], domain, block)), place)
        for domain in (DOMAIN_HIGH, DOMAIN_LOW)
    )
    return high << 16 | low


def _take(eight: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    return eight.gather(-1, place.unsqueeze(-1)).squeeze(-1)
