"""Dropout with one mask for all time steps, as a module."""

from __future__ import annotations

import torch
from torch.compiler import is_dynamo_compiling

from .. import functional as F
from ..functional.locked_dropout import check_time_dim
from ..random import Key
from ._module import DropoutModule


class LockedDropout(DropoutModule):
    r"""Drop features with one mask for all time steps in training; the identity in eval.

    `y[b, t, f] = x[b, t, f] / (1 - p)` where (b, f) is kept, else 0. With the default it
    replaces fastai's `RNNDropout`, and with `time_dim=0` AWD-LSTM's `LockedDropout`.

    Args:
        p: Drop probability in [0, 1].
        time_dim: The time dimension: 1 for a batch-first sequence, 0 for a time-first one.

    Shape:
        `(B, T, F)`, or any shape with the time dimension; the output has the shape of the input.

    Raises:
        ArgumentTypeError: p is not a number, or time_dim not an integer.
        ArgumentValueError: p is NaN or outside [0, 1]; at the call, the input has no such
            dimension.

    Example:
        >>> import torch, torchdropout as td
        >>> y = td.nn.LockedDropout(0.5)(torch.ones(4, 7, 8))
        >>> bool((y == y[:, :1]).all())
        True

    Reference:
        Y. Gal and Z. Ghahramani, "A theoretically grounded application of dropout in recurrent
        neural networks", NIPS 2016.
    """

    def __init__(self, p: float = 0.5, time_dim: int = 1) -> None:
        super().__init__(p)
        self.time_dim = check_time_dim(time_dim)

    def extra_repr(self) -> str:
        """The drop probability and the time dimension."""
        return f"p={self.p}, time_dim={self.time_dim}"

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """`functional.locked_dropout` with this module's p and mode; `key` names the mask."""
        p = self._traced_rate() if is_dynamo_compiling() else self.p
        return F.locked_dropout(input, p, self.training, time_dim=self.time_dim, key=key)
