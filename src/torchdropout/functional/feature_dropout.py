"""Dropout of whole channels: dropout1d, dropout2d, dropout3d."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NoReturn

import torch

from .._core import direct
from .._core._validate import check_input
from .._core.contract.layout import MaskLayout
from ..errors import ShapeError
from ..random import Key
from ._bernoulli import inverted
from ._call import apply
from ._override import overridden, overriding
from ._rate import Probability

# The dimensions that share a draw, by the rank of the input: what needs no warning.
_DIMS_1D = (None, None, (1,), (2,))
_DIMS_2D = (None, None, None, None, (2, 3))
_DIMS_3D = (None, None, None, None, (1, 2, 3), (2, 3, 4))


def spatial_dims(x: torch.Tensor, channel: int) -> tuple[int, ...]:
    """The dimensions after the channel: those along which a channel shares its draw."""
    return tuple(range(channel + 1, x.ndim))


def refuse_rank(name: str, x: torch.Tensor, accepted: str, shapes: str) -> NoReturn:
    """Raise `ShapeError`, in torch's words: the accepted ranks and shapes, and the input's."""
    raise ShapeError(
        f"{name}: Expected {accepted}, but received a {x.ndim}D input of shape {tuple(x.shape)}; "
        f"{shapes} is accepted."
    )


def _warn(name: str, x: torch.Tensor, reading: str, expected: str, clearer: str) -> None:
    # Frames from here to the caller of the function: this one and the function.
    warnings.warn(
        f"{name}: Received a {x.ndim}-D input to {name}, {reading}; expected {expected}. Say what "
        f"you mean with {clearer}, or with dropout(x, p, broadcast_dims=...).",
        stacklevel=3,
    )


def dropout1d(
    input: torch.Tensor,
    p: Probability = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Drop whole channels of sequences with probability p; identity in eval.

    `y[n, c, :] = x[n, c, :] / (1 - p)` where channel (n, c) is kept, else 0: a draw per channel. A
    drop-in for `torch.nn.functional.dropout1d`.

    Args:
        input: Floating-point or complex tensor.
        p: Drop probability in [0, 1].
        training: False returns `input` itself.
        inplace: Write into `input` and return it.
        key: Names the mask; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: Further dimensions that share their draws, for example the batch.
        layout: Mask indices instead of those of the variant.
        out: Written into and returned; as in `dropout`.

    Shape:
        `(N, C, L)` or `(C, L)`; the output has the shape of the input.

    Raises:
        ShapeError: The input has the wrong number of dimensions; also a `RuntimeError`.
        ArgumentTypeError: As in `dropout`.
        ArgumentValueError: As in `dropout`.

    Example:
        >>> import torch, torchdropout as td
        >>> td.functional.dropout1d(torch.ones(1, 3, 2), 0.5, key=td.Key(0))
        tensor([[[2., 2.],
                 [0., 0.],
                 [2., 2.]]])

    Reference:
        J. Tompson et al., "Efficient object localization using convolutional networks", CVPR 2015.
    """
    y = direct.dropout(
        input, p, _DIMS_1D, training, inplace, key, generator, broadcast_dims, layout, out
    )
    if y is not None:
        return y
    rest = training, inplace, key, generator, broadcast_dims, layout, out
    if overridden(input):
        return overriding(dropout1d, input, p, rest)
    x = check_input(input, training=training)
    if x.ndim not in (2, 3):
        inverted(p)  # a wrong p is reported first
        refuse_rank("dropout1d", x, "2D or 3D input", "(C, L) or (N, C, L)")
    return apply(inverted(p), x, *rest, spatial_dims(x, channel=x.ndim - 2), nested_ok=True)


def dropout2d(
    input: torch.Tensor,
    p: Probability = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Drop whole channels of images with probability p; identity in eval.

    `y[n, c] = x[n, c] / (1 - p)` where channel (n, c) is kept, else 0: `dropout1d` for images. A
    drop-in for `torch.nn.functional.dropout2d`. Like it, this reads other ranks with a warning: the
    second dimension is the channel, also in a 3-D input, which is read as `(N, C, L)`.

    Args:
        input: Floating-point or complex tensor.
        p: Drop probability in [0, 1].
        training: False returns `input` itself.
        inplace: Write into `input` and return it.
        key: Names the mask; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: Further dimensions that share their draws, for example the batch.
        layout: Mask indices instead of those of the variant.
        out: Written into and returned; as in `dropout`.

    Shape:
        `(N, C, H, W)`; the output has the shape of the input.

    Raises:
        ShapeError: In training, the input has under 2 dimensions; otherwise as in `dropout1d`.

    Example:
        >>> import torch, torchdropout as td
        >>> y = td.functional.dropout2d(torch.ones(1, 3, 2, 2), 0.5, key=td.Key(0))
        >>> y.flatten(2).unique(dim=2).flatten()
        tensor([2., 0., 2.])

    Reference:
        As in `dropout1d`.
    """
    y = direct.dropout(
        input, p, _DIMS_2D, training, inplace, key, generator, broadcast_dims, layout, out
    )
    if y is not None:
        return y
    rest = training, inplace, key, generator, broadcast_dims, layout, out
    if overridden(input):
        return overriding(dropout2d, input, p, rest)
    x = check_input(input, training=training)
    if x.ndim != 4:
        active = training and inverted(p).active
        if x.ndim == 3:
            reading = "assuming that channel-wise 1D dropout behavior is desired, (N, C, L)"
            _warn("dropout2d", x, reading, "(N, C, H, W)", "Dropout1d")
        else:
            reading = "read as (N, C, ...)"
            _warn("dropout2d", x, reading, "(N, C, H, W)", "Dropout1d or Dropout3d")
        if x.ndim < 2 and active:
            refuse_rank("dropout2d", x, "at least 2 dimensions", "(N, C, H, W)")
    return apply(inverted(p), x, *rest, spatial_dims(x, channel=1), nested_ok=True)


def dropout3d(
    input: torch.Tensor,
    p: Probability = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Drop whole channels of volumes with probability p; identity in eval.

    `y[n, c] = x[n, c] / (1 - p)` where channel (n, c) is kept, else 0: `dropout1d` for volumes. A
    drop-in for `torch.nn.functional.dropout3d`. Like it, this reads other ranks with a warning: an
    input that is not 5-D has no batch dimension, and its first dimension is the channel.

    Args:
        input: Floating-point or complex tensor.
        p: Drop probability in [0, 1].
        training: False returns `input` itself.
        inplace: Write into `input` and return it.
        key: Names the mask; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: Further dimensions that share their draws, for example the batch.
        layout: Mask indices instead of those of the variant.
        out: Written into and returned; as in `dropout`.

    Shape:
        `(N, C, D, H, W)` or `(C, D, H, W)`; the output has the shape of the input.

    Raises:
        ShapeError: In training, the input has no dimensions; otherwise as in `dropout1d`.

    Example:
        >>> import torch, torchdropout as td
        >>> y = td.functional.dropout3d(torch.ones(1, 3, 2, 2, 2), 0.5, key=td.Key(0))
        >>> y.flatten(2).unique(dim=2).flatten()
        tensor([2., 0., 2.])

    Reference:
        As in `dropout1d`.
    """
    y = direct.dropout(
        input, p, _DIMS_3D, training, inplace, key, generator, broadcast_dims, layout, out
    )
    if y is not None:
        return y
    rest = training, inplace, key, generator, broadcast_dims, layout, out
    if overridden(input):
        return overriding(dropout3d, input, p, rest)
    x = check_input(input, training=training)
    if x.ndim not in (4, 5):
        active = training and inverted(p).active
        reading = "read as one sample, (C, ...)"
        _warn("dropout3d", x, reading, "(N, C, D, H, W) or (C, D, H, W)", "Dropout1d or Dropout2d")
        if x.ndim < 1 and active:
            refuse_rank("dropout3d", x, "at least 1 dimension", "(N, C, D, H, W) or (C, D, H, W)")
    shared = spatial_dims(x, channel=1 if x.ndim == 5 else 0)
    return apply(inverted(p), x, *rest, shared, nested_ok=True)
