"""Zoneout as a module."""

from __future__ import annotations

import torch
from torch.compiler import is_dynamo_compiling

from ..functional._bernoulli import unscaled
from ..functional.zoneout import zoneout
from ..random import Key
from ._module import DropoutModule


class Zoneout(DropoutModule):
    r"""Keep the old value of each unit of a state with probability p; the expectation in eval.

    In training `y[i] = new[i]` where kept, `y[i] = old[i]` where dropped; in eval
    `y = p * old + (1 - p) * new`. Use it in a loop over a cell; `LSTM` and `GRU` of this package
    accept `zoneout_hidden`, and `LSTM` also `zoneout_cell`.

    Args:
        p: Probability in [0, 1] that a unit keeps its old value.

    Shape:
        Any, the same for new and old; the output has it too.

    Raises:
        ArgumentTypeError: p is not a number.
        ArgumentValueError: p is NaN or outside [0, 1].

    Example:
        >>> import torch, torchdropout as td
        >>> cell, zoneout = torch.nn.GRUCell(4, 8), td.nn.Zoneout(0.15)
        >>> h = torch.zeros(3, 8)
        >>> for x in torch.randn(5, 3, 4):
        ...     h = zoneout(cell(x, h), h)
        >>> h.shape
        torch.Size([3, 8])

    Reference:
        D. Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations",
        ICLR 2017.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def _constants(self) -> tuple[float, ...]:
        return unscaled(self.p).constants

    def extra_repr(self) -> str:
        """The probability of keeping the old value."""
        return f"p={self.p}"

    def forward(
        self, new: torch.Tensor, old: torch.Tensor, *, key: Key | None = None
    ) -> torch.Tensor:
        """`functional.zoneout` with this module's p and mode; `key` names the mask."""
        p = self._traced_rate() if is_dynamo_compiling() else self.p
        return zoneout(new, old, p, self.training, key=key)
