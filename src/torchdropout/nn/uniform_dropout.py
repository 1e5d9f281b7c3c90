"""Dropout's multiplicative noise, uniform instead of Bernoulli, as a module."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch.compiler import is_dynamo_compiling

from .. import functional as F
from .._core._validate import check_bool
from ..functional.uniform_dropout import check_beta, noise_of
from ..random import Key
from ._module import RateModule


class UniformDropout(RateModule):
    r"""Multiply by noise ~ U(1 - beta, 1 + beta) in training ("Uout"); the identity in eval.

    `y[i] = x[i] * (1 + beta * e[i])` with `e ~ U(-1, 1)`. Nothing of the size of the input is kept
    for backward.

    Args:
        beta: Half the width of the noise, in [0, 1).
        inplace: Write into the input.

    Shape:
        Any; the output has the shape of the input.

    Raises:
        ArgumentTypeError: beta is not a number, or inplace not a bool.
        ArgumentValueError: beta is NaN or outside [0, 1).

    Example:
        >>> import torch, torchdropout as td
        >>> layer = td.nn.UniformDropout(0.1)
        >>> layer
        UniformDropout(beta=0.1, inplace=False)
        >>> x = torch.ones(3)
        >>> layer.eval()(x) is x
        True

    Reference:
        X. Li et al., "Understanding the disharmony between dropout and batch normalization by
        variance shift", arXiv:1801.05134 (2018): "Uout".
    """

    beta: float
    _rate_name = "beta"
    _given: ClassVar = {"beta": check_beta}

    def __init__(self, beta: float, inplace: bool = False) -> None:
        super().__init__()
        self.beta = beta
        self.inplace = check_bool("inplace", inplace)

    def _constants(self) -> tuple[float, ...]:
        _law, *constants = noise_of(self.beta).constants
        return tuple(constants)

    def extra_repr(self) -> str:
        """Half the width of the noise, and inplace."""
        return f"beta={self.beta}, inplace={self.inplace}"

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """`functional.uniform_dropout` with this module's beta and mode; `key` names the noise."""
        beta = self._traced_rate() if is_dynamo_compiling() else self.beta
        return F.uniform_dropout(input, beta, self.training, self.inplace, key=key)
