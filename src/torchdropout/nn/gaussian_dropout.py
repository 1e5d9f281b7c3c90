"""Dropout's multiplicative noise, normal instead of Bernoulli, as a module."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch.compiler import is_dynamo_compiling

from .. import functional as F
from ..functional.gaussian_dropout import check_p_below_one, noise_of
from ..random import Key
from ._module import DropoutModule


class GaussianDropout(DropoutModule):
    r"""Multiply by noise ~ N(1, p/(1-p)) in training; the identity in eval.

    `y[i] = x[i] * (1 + sqrt(p / (1 - p)) * e[i])` with `e ~ N(0, 1)`: mean and variance of y are
    those of `Dropout` with the same p. Nothing of the size of the input is kept for backward.

    Args:
        p: Dropout's p, in [0, 1): at 1 the variance would be infinite.
        inplace: Write into the input.

    Shape:
        Any; the output has the shape of the input.

    Raises:
        ArgumentTypeError: p is not a number, or inplace not a bool.
        ArgumentValueError: p is NaN or outside [0, 1).

    Example:
        >>> import torch, torchdropout as td
        >>> layer = td.nn.GaussianDropout(0.2)
        >>> layer
        GaussianDropout(p=0.2, inplace=False)
        >>> x = torch.ones(3)
        >>> layer.eval()(x) is x
        True

    Reference:
        N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
        JMLR 15 (2014), section 10.
    """

    _given: ClassVar = {"p": check_p_below_one}

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__(check_p_below_one(p), inplace)

    def _constants(self) -> tuple[float, ...]:
        _law, *constants = noise_of(self.p).constants
        return tuple(constants)

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """`functional.gaussian_dropout` with this module's p and mode; `key` names the mask."""
        p = self._traced_rate() if is_dynamo_compiling() else self.p
        return F.gaussian_dropout(input, p, self.training, self.inplace, key=key)
