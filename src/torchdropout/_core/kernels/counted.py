"""A fixed count of places of each group, in torch operations, any device.

The places of a group are ordered by their words, 32-bit numbers in a separate domain of
`contract.noise`, and the first ones are kept; places with equal words are ordered by their
mask indices. So a choice depends on the key and the mask indices alone, and every choice of n of m
places is equally likely, except for the rare pair of equal words.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..contract.keep import compute_dtype
from ..contract.layout import row_major, sizes_drawn
from ..contract.noise import DOMAIN_ORDER, PER_BLOCK
from . import cpu
from ._fill import Draw, centred, draws, most

_PLACE_BITS = 31
_PAIRS = 64  # up to here the compiled kernel, which compares all pairs, is faster than torch's sort
_FEW = 16  # up to here comparing all pairs is faster than selecting in each group


def choose(
    key: torch.Tensor,
    shape: Sequence[int],
    kept: int,
    ordered: bool,
    base: int,
    strides: Sequence[int],
    device: torch.device,
) -> torch.Tensor:
    """The places that are kept along the last dimension.

    Args:
        key: `(..., 2)` int64 on the CPU: seed and stream.
        shape: Shape of the tensor of places that each key has.
        kept: How many are kept along the last dimension, from 1 to its size.
        ordered: Whether the places ascend, or are in the order of their words.
        base: Index of the first place, its 64 bits as int64.
        strides: Mask strides, one for each of `shape`; the last is not 0.
        device: Device of the result.

    Returns:
        int64, of shape `(*key.shape[:-1], *sizes, kept)`: the sizes are those of `shape` except
        the last, and 1 along shared dimensions.
    """
    if key.ndim == 1 and device.type == "cpu" and list(strides) == row_major(shape):
        places = torch.empty((*shape[:-1], kept), dtype=torch.int64, device=device)
        if _chosen(places, key, shape[-1], ordered, base):
            return places
    sizes = [*sizes_drawn(shape[:-1], strides[:-1]), shape[-1]]
    words = _words(key.reshape(-1, 2), sizes, base, strides, device)
    words = words.view((*key.shape[:-1], *sizes))
    if words.numel() == 0:
        return words[..., :kept].to(torch.int64)
    backwards = strides[-1] < 0  # indices descend: of equal words the last place has the lowest
    if backwards:
        words = words.flip(-1)
    # Sort the numbers, not the places: no two numbers are equal, so that their order is unique.
    first = _packed(words).topk(kept, dim=-1, largest=False, sorted=not ordered).values
    places = first & (1 << _PLACE_BITS) - 1
    if backwards:
        places = shape[-1] - 1 - places
    return places.sort(dim=-1).values if ordered else places


def _chosen(places: torch.Tensor, key: torch.Tensor, size: int, ordered: bool, base: int) -> bool:
    """Let the compiled kernel write the places, row-major; return whether it has done so."""
    if cpu.extension is None or places.numel() == 0 or size >> 31:
        return False
    args = (places, *key.tolist(), DOMAIN_ORDER, base, size, ordered)
    return cpu.extension.choose(*args) is not NotImplemented


def counted_affine(
    x: torch.Tensor,
    key: torch.Tensor,
    kept: int,
    group: int,
    dim: int,
    scale: float,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`y = x * scale` where kept, else 0: of each group, the `kept` places that come first.

    Args:
        x: Floating-point, any strides. Its first `key.ndim - 1` dimensions are those of `key`:
            each has its own choices.
        key: `(..., 2)` int64 on the CPU: seed and stream.
        kept: How many of a group are kept, from 0 to `group`.
        group: Number of consecutive places along `dim` that form a group; it divides the size.
        dim: The dimension of the groups, counted from the end: below 0.
        scale: Factor of a kept element; the product is computed in the compute type.
        base: Index of the first element, its 64 bits as int64.
        strides: Mask strides of the dimensions of x after those of `key`.

    Returns:
        A new tensor laid out as `torch.empty_like(x)`.
    """
    if (y := _compiled(x, key, kept, group, dim, scale, base, strides)) is not None:
        return y
    if kept == 0:
        return torch.empty_like(x).zero_()
    keep = None
    if kept < group:
        sizes = sizes_drawn(x.shape[key.ndim - 1 :], strides)
        keep = torch.empty((*key.shape[:-1], *sizes), dtype=torch.bool, device=x.device)
        if keep.numel():
            keys = key.reshape(-1, 2)
            of = keep.view(len(keys), *sizes)
            _fill_kept(of, keys, kept, group, dim, base, strides)
    y = torch.empty_like(x).copy_(x.to(compute_dtype(x.dtype)) * scale)
    # Select instead of multiplying by the mask: a dropped value may be inf or NaN.
    return y if keep is None else y.masked_fill_(~keep, 0.0)


def _compiled(
    x: torch.Tensor,
    key: torch.Tensor,
    kept: int,
    group: int,
    dim: int,
    scale: float,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor | None:
    """`counted_affine` by the compiled kernel, which accepts small groups in row-major order."""
    if (
        cpu.extension is None
        or not (0 < kept < group <= _PAIRS)
        or key.ndim > 1
        or dim != -1
        or not _is_row_major(x, strides)
    ):
        return None
    y = cpu.extension.counted(x, *key.tolist(), DOMAIN_ORDER, base, group, kept, scale)
    return None if y is NotImplemented else y


def _is_row_major(x: torch.Tensor, strides: Sequence[int]) -> bool:
    """Whether mask strides are those of the shape of x: mostly those of its memory, too."""
    own = tuple(strides)
    return (own == x.stride() and x.is_contiguous()) or own == tuple(row_major(x.shape))


def _packed(words: torch.Tensor) -> torch.Tensor:
    """Combine word and place in the last dimension into one number, unique in its group."""
    places = torch.arange(words.shape[-1], device=words.device)
    return words.to(torch.int64) << _PLACE_BITS | places


def _words(
    keys: torch.Tensor,
    sizes: Sequence[int],
    base: int,
    strides: Sequence[int],
    device: torch.device,
) -> torch.Tensor:
    """The words of the places, `(k, *sizes)` int32: less by 2**31, which keeps their order."""
    draw = Draw(torch.int32, PER_BLOCK, DOMAIN_ORDER, centred, lambda words, *_: words)
    return draws(draw, keys, sizes, base, strides, device)


def _fill_kept(
    keep: torch.Tensor,
    keys: torch.Tensor,
    kept: int,
    group: int,
    dim: int,
    base: int,
    strides: Sequence[int],
) -> None:
    """Write which places are kept, in chunks of whole groups: one byte per place is kept."""
    chunk = most(keep.device)
    if keep.numel() > chunk:
        along = keep.ndim + dim
        for d, size in enumerate(keep.shape):
            unit = group if d == along else 1
            if size > unit:
                break
        if size > unit:
            step = max(1, size * chunk // keep.numel() // unit) * unit
            for start in range(0, size, step):
                part = keep.narrow(d, start, min(step, size - start))
                of = keys[start : start + step] if d == 0 else keys
                at = base if d == 0 else base + start * strides[d - 1]
                _fill_kept(part, of, kept, group, dim, at, strides)
            return
    words = _words(keys, keep.shape[1:], base, strides, keep.device).movedim(dim, -1)
    words = words.reshape(*words.shape[:-1], -1, group)
    backwards = strides[dim] < 0  # see `choose`
    first = _first(words.flip(-1) if backwards else words, kept)
    first = first.flip(-1) if backwards else first
    keep.copy_(first.flatten(-2).movedim(-1, dim))


def _first(words: torch.Tensor, kept: int) -> torch.Tensor:
    """True where a place is one of the first `kept` of its last dimension."""
    group = words.shape[-1]
    if group > _FEW:
        numbers = _packed(words)
        return numbers <= numbers.kthvalue(kept, dim=-1, keepdim=True).values
    # On numbers of one memory each: a sum along a last dimension of few is slow.
    columns = _packed(words).movedim(-1, 0).contiguous()
    before = torch.zeros(columns.shape, dtype=torch.int8, device=words.device)
    for column in columns.unbind():
        before += column < columns
    return (before < kept).movedim(0, -1)
