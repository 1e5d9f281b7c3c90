"""How many are kept in the variants with a fixed count, and which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .._core import ops
from .._core._validate import is_integer, plain, wrong_type, wrong_value
from .._core.contract.keep import count_kept as count_kept
from .._core.contract.layout import row_major
from ._indices import mask_map
from ._rate import Probability, Rate


def choice_map(
    shape: Sequence[int], shared: Sequence[int], dim: int, broadcast_dims: Any, layout: Any
) -> tuple[int, list[int]]:
    """Base and strides of the mask indices of the places to choose from along `dim`."""
    base, strides = mask_map(shape, shared, broadcast_dims, layout)
    if strides is None:
        strides = row_major(shape)
    if strides[dim] == 0 and shape[dim] > 1:
        wrong_value(
            "broadcast_dims" if layout is None else "layout",
            f"one that gives each place along dimension {dim} its own index, as the places kept "
            "are chosen from them",
            broadcast_dims if layout is None else layout,
        )
    return base, strides


def choose(
    x: torch.Tensor,
    key: torch.Tensor,
    p: Probability,
    size: int,
    base: int,
    strides: Sequence[int],
    ordered: bool,
) -> torch.Tensor:
    """Choose the places kept in each sample: `count_kept` of `size`."""
    shape = (x.shape[0], size)
    if isinstance(p, Rate):
        places = ops.choose_share(key, p.constants, shape, ordered, base, strides, x.device)
    else:
        kept = count_kept(size, p)
        places = ops.choose(key, shape, kept, ordered, base, strides, x.device)
    return places.expand(x.shape[0], -1)


def drop_to_count(
    x: torch.Tensor,
    key: torch.Tensor,
    kept: int,
    group: int,
    dim: int,
    scale_by_keep: bool,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`y = x * group / kept` at `kept` places of each group, else 0."""
    scale = group / kept if scale_by_keep and kept > 0 else 1.0
    return ops.counted_affine(x, key, kept, group, dim - x.ndim, scale, base, strides)


def check_dim(dim: Any, x: torch.Tensor) -> int:
    """Check a dimension of x, and return it as a non-negative integer."""
    if not is_integer(dim):
        wrong_type("dim", "an integer, a dimension of the input", dim)
    if not -x.ndim <= dim < x.ndim:
        wrong_value("dim", f"in [{-x.ndim}, {x.ndim}), a dimension of a {x.ndim}-D input", dim)
    return plain(dim) % x.ndim
