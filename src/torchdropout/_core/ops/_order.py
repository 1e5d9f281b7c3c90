"""A fixed count of places: `choose` returns the kept ones, `counted_affine` drops the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from ...errors import ArgumentValueError
from .. import _torch
from .._validate import check_p
from ..contract.keep import count_kept
from ..contract.layout import sizes_drawn
from ..kernels import _check, counted
from ..kernels.devices import placed, sample
from ._keys import save_drawn
from ._library import TAGS, library
from ._maps import define_form, define_map

library.define(
    "choose(Tensor key, SymInt[] shape, SymInt kept, bool ordered, SymInt base, SymInt[] strides, "
    "Device device) -> Tensor",
    tags=TAGS,
)
library.define(
    "choose.share(Tensor key, Tensor constants, SymInt[] shape, bool ordered, SymInt base, "
    "SymInt[] strides, Device device) -> Tensor",
    tags=TAGS,
)
_choose = torch.ops.torchdropout.choose.default
_choose_share = torch.ops.torchdropout.choose.share


def _samples(
    x: torch.Tensor, key: torch.Tensor, kept: int, group: int, dim: int, scale: float, *_: Any
) -> Iterator[tuple[Any, ...]]:
    """Groups along a row and across rows, of the given size or of fewer places."""
    groups = max(2, 3000 // group)
    values = sample(x).repeat(-(-groups * group // 3000))[: groups * group]
    own = kept, group, -1, scale
    yield values, key, *own, 2**34 - 1000, [1]
    yield values.view(groups, group), key, *own, 2**35 - 999, [1, groups]


_counted_affine = define_map(
    "counted_affine",
    "SymInt kept, SymInt group, int dim, float scale",
    counted.counted_affine,
    _check.check_counted,
    _check.check_counted,
    # Linear in x: its own derivative.
    lambda own: own,
    _samples,
)


def _check_share(
    x: torch.Tensor, key: torch.Tensor, constants: torch.Tensor, size: int, dim: int, *rest: Any
) -> None:
    _check.check_counted(x, key, 0, size, dim, *rest)
    _check.check_constants(constants, 1, x)


def _by_share(
    x: torch.Tensor,
    key: torch.Tensor,
    constants: torch.Tensor,
    size: int,
    dim: int,
    scale_by_keep: bool,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    _check_share(x, key, constants, size, dim, scale_by_keep, base, strides)
    p = check_p(constants.item())
    kept = count_kept(size, p) if p < 1.0 else 0
    scale = size / kept if scale_by_keep and kept > 0 else 1.0
    return counted_affine(x, key, kept, size, dim, scale, base, strides)


_counted_by_share = define_form(
    "counted_affine",
    "share",
    "Tensor constants, SymInt size, int dim, bool scale_by_keep",
    _by_share,  # it calls the form with numbers
    _check_share,
    lambda own: own,
)


# The places that are kept; see `kernels.counted.choose`.
choose: Callable[..., torch.Tensor] = _choose


# `choose` with p in a float64 tensor on the CPU: the count is a dynamic size to a compiler.
choose_share: Callable[..., torch.Tensor] = _choose_share


# `y = x * scale` at a fixed count of each group; see `kernels.counted.counted_affine`.
counted_affine: Callable[..., torch.Tensor] = _counted_affine


# One group along `dim`, with p in a float64 tensor on the CPU; see `masked_affine_of`.
counted_affine_of: Callable[..., torch.Tensor] = _counted_by_share


def _fake(
    key: torch.Tensor,
    shape: Sequence[int],
    kept: int,
    ordered: bool,
    base: int,
    strides: Sequence[int],
    device: torch.device,
) -> torch.Tensor:
    _check.check_choice(key, shape, strides, device)
    _check.check_kept(kept, shape[-1])
    sizes = sizes_drawn(shape[:-1], strides[:-1])
    return key.new_empty((*key.shape[:-1], *sizes, kept), device=device)


# Without `fullgraph` dynamo runs such an operator eagerly, and would trace its kernel. Not on
# `_chosen`, whose first call would import dynamo.
@_torch.not_compiled  # type: ignore[untyped-decorator]
def _share(
    key: torch.Tensor, constants: torch.Tensor, shape: Sequence[int], *rest: Any
) -> torch.Tensor:
    *_, strides, device = rest
    _check.check_choice(key, shape, strides, device)
    _check.check_constants(constants, 1, key)
    p = check_p(constants.item())
    places: torch.Tensor = _chosen(key, shape, count_kept(shape[-1], p), *rest)
    return places


def _chosen(
    key: torch.Tensor, shape: Sequence[int], kept: int, ordered: bool, *rest: Any
) -> torch.Tensor:
    _base, strides, device = rest
    _check.check_choice(key, shape, strides, device)
    _check.check_kept(kept, shape[-1])
    if not key.data_ptr():
        _check.check_memory(key)
    key, (base, strides) = placed(key, rest[:-1])
    return counted.choose(key, shape, kept, ordered, base, strides, device)


def _fake_share(
    key: torch.Tensor, constants: torch.Tensor, shape: Sequence[int], *rest: Any
) -> torch.Tensor:
    *_, strides, device = rest
    _check.check_choice(key, shape, strides, device)
    _check.check_constants(constants, 1, key)
    kept: Any = torch.library.get_ctx().new_dynamic_size(min=1)
    _torch.check(kept <= shape[-1])
    return _fake(key, shape, kept, *rest)


def _vmap(operator: Any) -> Any:
    def batched(
        info: Any, in_dims: tuple[int | None, ...], key: torch.Tensor, *rest: Any
    ) -> tuple[torch.Tensor, int]:
        if in_dims[0] is None:
            raise ArgumentValueError(
                "Expected `constants` to be those of all samples of a vmap, got one for each."
            )
        return operator(key.movedim(in_dims[0], 0), *rest), 0

    return batched


for _name, _operator, _kernel, _shapes in (
    ("choose", _choose, _chosen, _fake),
    ("choose.share", _choose_share, _share, _fake_share),
):
    library.impl(_name, _kernel, "CompositeExplicitAutograd")
    torch.library.register_fake(f"torchdropout::{_name}", _shapes, lib=library)
    torch.library.register_vmap(f"torchdropout::{_name}", _vmap(_operator), lib=library)
    save_drawn(_name, place=0)
