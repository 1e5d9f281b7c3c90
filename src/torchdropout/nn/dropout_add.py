"""Dropout of a branch and the sum with the residual, as a module."""

from __future__ import annotations

import torch
from torch.compiler import is_dynamo_compiling

from .. import functional as F
from ..random import Key
from ._module import DropoutModule


class DropoutAdd(DropoutModule):
    r"""`residual + dropout(input + bias)` in training, `residual + (input + bias)` in eval.

    `functional.dropout_add` as a module: one pass forward and one backward, and nothing of the size
    of the input is kept.

    Args:
        p: Drop probability in [0, 1].

    Shape:
        input and residual `(..., C)`, bias `(C,)`; the output has their shape.

    Raises:
        ArgumentTypeError: p is not a number.
        ArgumentValueError: p is NaN or outside [0, 1].

    Example:
        >>> import torch, torchdropout as td
        >>> layer = td.nn.DropoutAdd(0.1)
        >>> layer
        DropoutAdd(p=0.1)
        >>> x, residual = torch.randn(2, 3), torch.randn(2, 3)
        >>> torch.equal(layer.eval()(x, residual), residual + x)
        True

    Reference:
        The fused operation of Megatron-LM (`bias_dropout_add`) and of flash-attention
        (`dropout_add_layer_norm`).
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def extra_repr(self) -> str:
        """The drop probability."""
        return f"p={self.p}"

    def forward(
        self,
        input: torch.Tensor,
        residual: torch.Tensor,
        bias: torch.Tensor | None = None,
        *,
        key: Key | None = None,
    ) -> torch.Tensor:
        """`functional.dropout_add` with this module's p and mode; `key` names the mask."""
        p = self._traced_rate() if is_dynamo_compiling() else self.p
        return F.dropout_add(input, residual, p, self.training, bias=bias, key=key)
