"""Dropout of single elements, as a module."""

from __future__ import annotations

import torch
from torch.compiler import is_dynamo_compiling

from .. import functional as F
from ..random import Key
from ._module import DropoutModule


class Dropout(DropoutModule, torch.nn.Dropout):
    r"""Drop each element with probability p in training and scale the others by 1/(1-p).

    `y[i] = x[i] / (1 - p)` where kept, exactly 0 where dropped; the identity in eval. A drop-in
    subclass of `torch.nn.Dropout`: same arguments, `repr` and empty `state_dict`.
    `torch.manual_seed` governs its masks, which are the same for every dtype, memory layout and
    device; nothing of the size of the input is kept for backward.

    Args:
        p: Drop probability in [0, 1].
        inplace: Write into the input.

    Shape:
        Any; the output has the shape of the input.

    Raises:
        ArgumentTypeError: p is not a number, or inplace not a bool.
        ArgumentValueError: p is NaN or outside [0, 1].

    Example:
        >>> import torch, torchdropout as td
        >>> layer = td.nn.Dropout(0.25)
        >>> layer
        Dropout(p=0.25, inplace=False)
        >>> x = torch.ones(3)
        >>> layer.eval()(x) is x
        True

    Reference:
        N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
        JMLR 15 (2014).
    """

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """`functional.dropout` with this module's p and mode; `key` names the mask."""
        p = self._traced_rate() if is_dynamo_compiling() else self.p
        return F.dropout(input, p, self.training, self.inplace, key=key)
