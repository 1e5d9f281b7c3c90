"""What the fixed-count variants share: how many are kept, and which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .. import ops
from .._validate import is_integer, wrong_type, wrong_value
from ..contract.keep import count_kept as count_kept
from ..contract.layout import row_major
from ._call import Call
from ._indices import mask_map
from ._key import key_of, key_tensor
from ._rate import Probability, Rate


def choice_map(
    shape: Sequence[int], shared: Sequence[int], dim: int, call: Call
) -> tuple[int, list[int]]:
    """Base and strides of the indices of the places among which is chosen along `dim`.

    Raises:
        ArgumentTypeError: An argument has a type that cannot be taken.
        ArgumentValueError: An argument does not fit the shape, or gives the places of a group one
            index, so that there would be nothing to order them by.
    """
    base, strides = mask_map(shape, shared, call.broadcast_dims, call.layout)
    if strides is None:
        strides = row_major(shape)
    if strides[dim] == 0 and shape[dim] > 1:
        name = "broadcast_dims" if call.layout is None else "layout"
        wrong_value(
            name,
            f"one that gives the places along dimension {dim} indices of their own: "
            "they are what is chosen among",
            getattr(call, name),
        )
    return base, strides


def choose(
    call: Call, p: Probability, size: int, base: int, strides: Sequence[int], ordered: bool
) -> torch.Tensor:
    """The places kept in each sample: `count_kept` of `size`.

    Args:
        call: Its input has the samples in its first dimension.
        p: Drop probability.
        size: Places of a sample.
        base: Mask index of the first place.
        strides: Mask strides of samples and places.
        ordered: Whether the places ascend, or come in the order of their words.

    Returns:
        int64 of shape `(N, kept)`.
    """
    x = call.x
    key = key_tensor(key_of(call.key, call.generator))
    shape = (x.shape[0], size)
    if isinstance(p, Rate):
        places = ops.choose_share(key, p.constants, shape, ordered, base, strides, x.device)
    else:
        kept = count_kept(size, p)
        places = ops.choose(key, shape, kept, ordered, base, strides, x.device)
    return places.expand(x.shape[0], -1)


def drop_to_count(
    call: Call,
    kept: int,
    group: int,
    dim: int,
    scale_by_keep: bool,
    base: int,
    strides: Sequence[int],
) -> torch.Tensor:
    """`y = x * group / kept` at `kept` places of each group, else 0.

    Args:
        call: A call that is active.
        kept: How many of a group; 0 gives zeros.
        group: How many places that follow one another are a group.
        dim: Along which dimension of the input.
        scale_by_keep: False leaves what is kept as it is.
        base: Mask index of the first element.
        strides: Mask strides.
    """
    x = call.x
    scale = group / kept if scale_by_keep and kept > 0 else 1.0
    key = key_tensor(key_of(call.key, call.generator))
    return ops.counted_affine(x, key, kept, group, dim - x.ndim, scale, base, strides)


def check_dim(dim: Any, x: torch.Tensor) -> int:
    """A dimension of x, as a non-negative number.

    Raises:
        ArgumentTypeError: It is no integer.
        ArgumentValueError: x has no such dimension.
    """
    if not is_integer(dim):
        wrong_type("dim", "an integer, a dimension of the input", dim)
    if not -x.ndim <= dim < x.ndim:
        wrong_value("dim", f"in [{-x.ndim}, {x.ndim}), a dimension of a {x.ndim}-D input", dim)
    return dim % x.ndim
