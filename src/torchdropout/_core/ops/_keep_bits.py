"""`keep_bits`: the keep bits of a call, and the dropout that a compiler builds from them.

`masked_affine` is opaque to a compiler: what comes before it is written to memory, and what follows
reads it from there. All after the bits is torch's own operators, which a compiler fuses with
their neighbours. docs/decisions/0015-a-select-that-fuses.md has the evidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ..contract.keep import PER_BLOCK, compute_dtype
from ..contract.layout import sizes_drawn
from ..kernels import _check, reference
from ..kernels.devices import register
from ._keys import save_drawn
from ._library import TAGS, library

_PLACES = "SymInt[] shape, SymInt base, SymInt[] strides"
library.define(f"keep_bits(Tensor like, Tensor key, float p, {_PLACES}) -> Tensor", tags=TAGS)
library.define(
    f"keep_bits.tensor(Tensor like, Tensor key, Tensor constants, {_PLACES}) -> Tensor", tags=TAGS
)
library.define("scale_of(Tensor like, Tensor constants) -> Tensor", tags=TAGS)
_keep_bits = torch.ops.torchdropout.keep_bits.default
_keep_bits_of = torch.ops.torchdropout.keep_bits.tensor
_scale_of = torch.ops.torchdropout.scale_of.default


def select(
    x: torch.Tensor,
    key: torch.Tensor,
    constants: Sequence[Any],
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`keep ? x * scale : 0` in torch's operators, with the bits of `masked_affine`."""
    compute = compute_dtype(x.dtype)
    # It is not x, whose values would have to be in memory.
    like = torch.empty(0, dtype=compute, device=x.device)
    p, *others = constants
    if others:
        bits = _keep_bits(like, key, p, x.shape, base, strides)
        (scale,) = others
    else:
        bits = _keep_bits_of(like, key, p, x.shape, base, strides)
        scale = _scale_of(like, p)
    sizes = sizes_drawn(x.shape, strides)
    # Views suffice: the place of a bit is computed from the element's, without a look-up.
    places = torch.arange(PER_BLOCK, dtype=torch.uint8, device=x.device)
    each = ((bits.unsqueeze(-1) >> places) & 1).flatten()
    keep = each.narrow(0, 0, math.prod(sizes)).view(sizes) != 0
    # The first of several tensors decides the layout of the result.
    keep = torch.ones_like(x, dtype=torch.bool) & keep
    if x.dtype != compute:
        x = _bits_where(keep, x)
    return _bits_where(keep, (x.to(compute) * scale).to(x.dtype))


def _bits_where(keep: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """`keep ? x : 0`, on the bits of x.

    A compiler that fuses operators need not round a 16-bit number between them, and may make a
    fused multiply-add of a product and a sum. Neither happens to bits that are selected here.
    """
    as_bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[x.element_size()]
    return torch.where(keep, x.view(as_bits), 0).view(x.dtype)


def _kernel_of_tensor(
    like: torch.Tensor, key: torch.Tensor, constants: torch.Tensor, *places: Any
) -> torch.Tensor:
    _check.check_constants(constants, 2, like)
    p, *_ = constants.tolist()
    bits: torch.Tensor = _keep_bits(like, key, p, *places)
    return bits


def _kernel_of_scale(like: torch.Tensor, constants: torch.Tensor) -> torch.Tensor:
    _check_scale(like, constants)
    _p, scale, *_ = constants.tolist()
    return like.new_full((), scale)


def _check_scale(like: torch.Tensor, constants: torch.Tensor) -> None:
    _check.check_where(like)
    _check.check_constants(constants, 2, like)


def _fake_of_scale(like: torch.Tensor, constants: torch.Tensor) -> torch.Tensor:
    _check_scale(like, constants)
    return like.new_empty(())


def _fake(
    like: torch.Tensor,
    key: torch.Tensor,
    p: Any,
    shape: Sequence[int],
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    rate = p
    if isinstance(p, torch.Tensor):
        _check.check_constants(p, 2, like)
        rate = 0.0
    _check.check_bits(like, key, rate, shape, base, strides)
    count = math.prod(sizes_drawn(shape, strides))
    return like.new_empty(
        (*key.shape[:-1], (count + PER_BLOCK - 1) // PER_BLOCK), dtype=torch.uint8
    )


def _samples(like: torch.Tensor, key: torch.Tensor, p: float, *_: Any) -> Iterator[tuple[Any, ...]]:
    for base in (2**34 - 1000, 2**35 - 999):
        for strides in ([60, 1], [1, 50]):
            yield like, key, p, [50, 60], base, strides


register(library, "keep_bits", reference.packed_bits, _check.check_bits, _samples)
library.impl("keep_bits.tensor", _kernel_of_tensor, "CompositeExplicitAutograd")
library.impl("scale_of", _kernel_of_scale, "CompositeExplicitAutograd")
for _name in ("keep_bits", "keep_bits.tensor"):
    torch.library.register_fake(f"torchdropout::{_name}", _fake, lib=library)
    save_drawn(_name, place=1, recomputed=True)
torch.library.register_fake("torchdropout::scale_of", _fake_of_scale, lib=library)
