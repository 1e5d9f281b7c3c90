"""Dropout of whole channels, as modules."""

from __future__ import annotations

import torch
from torch.compiler import is_dynamo_compiling

from .. import functional as F
from ..random import Key
from ._module import DropoutModule


class Dropout1d(DropoutModule, torch.nn.Dropout1d):
    r"""Drop whole channels of sequences with probability p in training; the identity in eval.

    `y[n, c, :] = x[n, c, :] / (1 - p)` where channel (n, c) is kept, else 0. A drop-in
    subclass of `torch.nn.Dropout1d`.

    Args:
        p: Drop probability in [0, 1].
        inplace: Write into the input.

    Shape:
        `(N, C, L)` or `(C, L)`; the output has the shape of the input.

    Raises:
        ArgumentTypeError: p is not a number, or inplace not a bool.
        ArgumentValueError: p is NaN or outside [0, 1].
        ShapeError: At the call, the input has the wrong number of dimensions.

    Example:
        >>> import torch, torchdropout as td
        >>> y = td.nn.Dropout1d(0.5)(torch.ones(4, 8, 16))
        >>> bool((y == y[:, :, :1]).all())
        True

    Reference:
        J. Tompson et al., "Efficient object localization using convolutional networks", CVPR 2015.
    """

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """`functional.dropout1d` with this module's p and mode; `key` names the mask."""
        p = self._traced_rate() if is_dynamo_compiling() else self.p
        return F.dropout1d(input, p, self.training, self.inplace, key=key)


class Dropout2d(DropoutModule, torch.nn.Dropout2d):
    r"""Drop whole channels of images with probability p in training; the identity in eval.

    `y[n, c] = x[n, c] / (1 - p)` where channel (n, c) is kept, else 0: `Dropout1d` for images. A
    drop-in subclass of `torch.nn.Dropout2d`. A 3-D input is read as `(N, C, L)`,
    with a warning, as torch reads it.

    Args:
        p: Drop probability in [0, 1].
        inplace: Write into the input.

    Shape:
        `(N, C, H, W)`; the output has the shape of the input.

    Raises:
        ShapeError: In training, the input has under 2 dimensions; otherwise as in `Dropout1d`.

    Example:
        >>> import torch, torchdropout as td
        >>> y = td.nn.Dropout2d(0.5)(torch.ones(4, 8, 6, 6))
        >>> bool((y == y[:, :, :1, :1]).all())
        True

    Reference:
        As in `Dropout1d`.
    """

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """`functional.dropout2d` with this module's p and mode; `key` names the mask."""
        p = self._traced_rate() if is_dynamo_compiling() else self.p
        return F.dropout2d(input, p, self.training, self.inplace, key=key)


class Dropout3d(DropoutModule, torch.nn.Dropout3d):
    r"""Drop whole channels of volumes with probability p in training; the identity in eval.

    `y[n, c] = x[n, c] / (1 - p)` where channel (n, c) is kept, else 0: `Dropout1d` for volumes. A
    drop-in subclass of `torch.nn.Dropout3d`.

    Args:
        p: Drop probability in [0, 1].
        inplace: Write into the input.

    Shape:
        `(N, C, D, H, W)` or `(C, D, H, W)`; the output has the shape of the input.

    Raises:
        ShapeError: In training, the input has no dimensions; otherwise as in `Dropout1d`.

    Example:
        >>> import torch, torchdropout as td
        >>> y = td.nn.Dropout3d(0.5)(torch.ones(4, 8, 2, 6, 6))
        >>> bool((y == y[:, :, :1, :1, :1]).all())
        True

    Reference:
        As in `Dropout1d`.
    """

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """`functional.dropout3d` with this module's p and mode; `key` names the mask."""
        p = self._traced_rate() if is_dynamo_compiling() else self.p
        return F.dropout3d(input, p, self.training, self.inplace, key=key)
