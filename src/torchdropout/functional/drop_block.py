"""DropBlock: contiguous regions of a feature map are dropped together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch

from .._core import ops
from .._core._validate import (
    check_bool,
    check_dims,
    check_number,
    check_word,
    is_integer,
    plain,
    wrong_type,
    wrong_value,
)
from .._core.contract.layout import MaskLayout, row_major
from ..random import Key
from ._blocks import blocks
from ._call import apply, check_call
from ._indices import mask_map
from ._override import overridable
from ._rate import Probability
from .feature_dropout import refuse_rank

Scale = Literal["expectation", "count"]


def check_block_size(block_size: Any) -> int:
    """Check the side of a block."""
    if not is_integer(block_size):
        wrong_type("block_size", "an integer of 1 or more, the side of a block", block_size)
    if block_size < 1:
        wrong_value("block_size", "1 or more, the side of a block", block_size)
    return plain(block_size)


def check_eps(eps: Any) -> float:
    """Check the number that is added to a count before it divides."""
    value = check_number("eps", "a number of 0 or more", eps)
    if not 0.0 <= value < math.inf:
        wrong_value("eps", "a finite number of 0 or more", eps)
    return value


def check_scale(scale: Any) -> Scale:
    """Check how kept places are scaled."""
    return check_word("scale", scale, "expectation", "count")  # type: ignore[no-any-return]


@overridable
def drop_block1d(
    input: torch.Tensor,
    p: Probability = 0.1,
    block_size: int = 7,
    inplace: bool = False,
    eps: float = 1e-6,
    training: bool = True,
    *,
    per_channel: bool = True,
    scale: Scale = "expectation",
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Drop stretches of block_size places of a sequence; identity in eval.

    `y = x / (1 - p)` where no block lies, else 0. Blocks lie anywhere, cut off at the border, each
    independently with probability `1 - (1 - p) ** (1 / n)`. Here `n = block_size` is the number of
    blocks that can cover a place. It is the same for every place, also at the border, so that each
    place is dropped with probability p, whatever the size of the map.

    Args:
        input: Floating-point tensor.
        p: Probability in [0, 1] that a place is dropped.
        block_size: Length of a block, odd or even.
        inplace: Write into `input` and return it.
        eps: Added to the number of kept places if `scale="count"`; unused otherwise.
        training: False returns `input` itself.
        per_channel: True for a mask for each channel, False for one that the channels of a sample
            share.
        scale: "expectation": kept places are multiplied by `1 / (1 - p)`. "count": by the number of
            places of the sample over the number of kept ones.
        key: Names the mask; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: Dimensions before the map that share their blocks, for example the batch.
        layout: Mask indices of the seeds, instead of row-major ones over the seed map.
        out: Written into and returned; as in `dropout`.

    Shape:
        `(N, C, L)` or `(C, L)`; the output has the shape of the input. Blocks are numbered
        row-major over the seed map, which is longer than the input by `block_size - 1` in its last
        dimension: the seed i of a block covers the places `i - block_size + 1` to i.

    Raises:
        ShapeError: The input has the wrong number of dimensions; also a `RuntimeError`.
        ArgumentTypeError: As in `dropout`; block_size is not an integer, eps not a number, or scale
            not a string.
        ArgumentValueError: As in `dropout`; in training, block_size is greater than the map.

    Example:
        >>> import torch, torchdropout as td
        >>> td.functional.drop_block1d(torch.ones(1, 10), 0.5, 3, key=td.Key(0))
        tensor([[2., 2., 2., 2., 2., 2., 2., 2., 0., 0.]])

    Reference:
        G. Ghiasi, T.-Y. Lin, Q. V. Le, "DropBlock: A regularization method for convolutional
        networks", NeurIPS 2018.
    """
    return _drop_block(
        1,
        *(input, p, block_size, inplace, eps, training, per_channel, scale),
        *(key, generator, broadcast_dims, layout, out),
    )


@overridable
def drop_block2d(
    input: torch.Tensor,
    p: Probability = 0.1,
    block_size: int = 7,
    inplace: bool = False,
    eps: float = 1e-6,
    training: bool = True,
    *,
    per_channel: bool = True,
    scale: Scale = "expectation",
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Drop squares of side block_size of a map; identity in eval.

    `y = x / (1 - p)` where there is no block, else 0: `drop_block1d` in two dimensions, with
    `n = block_size ** 2`. The order of the arguments is that of `torchvision.ops.drop_block2d`.

    Args:
        input: Floating-point tensor.
        p: Probability in [0, 1] that a place is dropped.
        block_size: Side of a block, odd or even.
        inplace: Write into `input` and return it.
        eps: Added to the number of kept places if `scale="count"`; unused otherwise.
        training: False returns `input` itself.
        per_channel: True for a mask for each channel, False for one that the channels of a sample
            share.
        scale: "expectation": kept places are multiplied by `1 / (1 - p)`. "count": by the number of
            places of the sample over the number of kept ones.
        key: Names the mask; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: Dimensions before the map that share their blocks, for example the batch.
        layout: Mask indices of the seeds, instead of row-major ones over the seed map.
        out: Written into and returned; as in `dropout`.

    Shape:
        `(N, C, H, W)` or `(C, H, W)`; the output has the shape of the input. The seed map is
        longer than the input by `block_size - 1` in each of its last two dimensions.

    Raises:
        ShapeError: The input has the wrong number of dimensions; otherwise as in `drop_block1d`.

    Example:
        >>> import torch, torchdropout as td
        >>> td.functional.drop_block2d(torch.ones(1, 4, 5), 0.5, 2, key=td.Key(0))
        tensor([[[2., 2., 2., 0., 0.],
                 [2., 2., 0., 0., 0.],
                 [2., 0., 0., 0., 0.],
                 [2., 0., 0., 0., 0.]]])

    Reference:
        As in `drop_block1d`.
    """
    return _drop_block(
        2,
        *(input, p, block_size, inplace, eps, training, per_channel, scale),
        *(key, generator, broadcast_dims, layout, out),
    )


@overridable
def drop_block3d(
    input: torch.Tensor,
    p: Probability = 0.1,
    block_size: int = 7,
    inplace: bool = False,
    eps: float = 1e-6,
    training: bool = True,
    *,
    per_channel: bool = True,
    scale: Scale = "expectation",
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Drop cubes of side block_size of a volume; identity in eval.

    `y = x / (1 - p)` where there is no block, else 0: `drop_block1d` in three dimensions, with
    `n = block_size ** 3`. The order of the arguments is that of `torchvision.ops.drop_block3d`.

    Args:
        input: Floating-point tensor.
        p: Probability in [0, 1] that a place is dropped.
        block_size: Side of a block, odd or even.
        inplace: Write into `input` and return it.
        eps: Added to the number of kept places if `scale="count"`; unused otherwise.
        training: False returns `input` itself.
        per_channel: True for a mask for each channel, False for one that the channels of a sample
            share.
        scale: "expectation": kept places are multiplied by `1 / (1 - p)`. "count": by the number of
            places of the sample over the number of kept ones.
        key: Names the mask; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: Dimensions before the map that share their blocks, for example the batch.
        layout: Mask indices of the seeds, instead of row-major ones over the seed map.
        out: Written into and returned; as in `dropout`.

    Shape:
        `(N, C, D, H, W)` or `(C, D, H, W)`; the output has the shape of the input. The seed map is
        longer than the input by `block_size - 1` in each of its last three dimensions.

    Raises:
        ShapeError: The input has the wrong number of dimensions; otherwise as in `drop_block1d`.

    Example:
        >>> import torch, torchdropout as td
        >>> td.functional.drop_block3d(torch.ones(1, 2, 2, 5), 0.5, 2, key=td.Key(0))
        tensor([[[[2., 0., 0., 0., 0.],
                  [2., 2., 0., 0., 0.]],
        <BLANKLINE>
                 [[0., 0., 0., 0., 0.],
                  [0., 0., 2., 0., 0.]]]])

    Reference:
        As in `drop_block1d`.
    """
    return _drop_block(
        3,
        *(input, p, block_size, inplace, eps, training, per_channel, scale),
        *(key, generator, broadcast_dims, layout, out),
    )


def _drop_block(
    dims: int,
    input: Any,
    p: Any,
    block_size: Any,
    inplace: Any,
    eps: Any,
    training: Any,
    per_channel: Any,
    scale: Any,
    key: Any,
    generator: Any,
    broadcast_dims: Any,
    layout: Any,
    out: Any,
) -> torch.Tensor:
    x = check_call(input, training, key, generator, complex_ok=False)
    block = check_block_size(block_size)
    count = check_scale(scale) == "count"
    drop = blocks(p, dims, block, count, check_eps(eps))
    check_bool("per_channel", per_channel)
    if x.ndim not in (dims + 1, dims + 2):
        single = ", ".join(("C", *"DHW"[-dims:])) if dims > 1 else "C, L"
        accepted = f"{dims + 1}D or {dims + 2}D input"
        refuse_rank(f"drop_block{dims}d", x, accepted, f"({single}) or (N, {single})")
    sizes = ops.seed_sizes(x.shape, dims, block)
    seeds = _seed_map(sizes, dims, per_channel, broadcast_dims, layout)
    if training and x.numel() > 0:
        # This is checked whatever p is: a p that grows from 0 must not fail at its second step.
        _check_fits(block, x.shape[-dims:])
    return apply(
        drop,
        *(x, training, inplace, key, generator, broadcast_dims, layout, out),
        indices=seeds,
    )


def _seed_map(
    sizes: Sequence[int], dims: int, per_channel: bool, broadcast_dims: Any, layout: Any
) -> tuple[int, list[int]]:
    """Base and strides of the mask indices of the seeds."""
    first = len(sizes) - dims
    for dim in check_dims("broadcast_dims", broadcast_dims, len(sizes)):
        if dim >= first:
            wrong_value(
                "broadcast_dims",
                f"dimensions before the map, below {first}: a block has its own size along those",
                broadcast_dims,
            )
    shared = () if per_channel else (first - 1,)
    base, strides = mask_map(sizes, shared, broadcast_dims, layout)
    if strides is None:
        strides = row_major(sizes)
    reach = 0
    for size, stride in zip(reversed(sizes[first:]), reversed(strides[first:]), strict=True):
        if size > 1 and stride <= reach:
            wrong_value(
                "layout",
                f"one that gives each seed of a map its own index: its strides are those of the "
                f"seed map, which has shape {tuple(sizes)}",
                layout,
            )
        reach += (size - 1) * stride
    return base, strides


def _check_fits(block: int, sizes: Sequence[int]) -> None:
    smallest = min(sizes)
    if block > smallest:
        wrong_value(
            "block_size",
            f"at most {smallest}, the shortest side of the input's map {tuple(sizes)}",
            block,
        )
