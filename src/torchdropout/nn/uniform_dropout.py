"""Dropout's multiplicative noise, uniform instead of Bernoulli, as a module."""

from __future__ import annotations

import torch

from .. import functional as F
from .._validate import check_bool
from ..functional._noise import check_size
from ..functional.uniform_dropout import BETA


class UniformDropout(torch.nn.Module):
    r"""Multiply by noise ~ U(1 - beta, 1 + beta) in training ("Uout"); the identity in eval.

    `y[i] = x[i] * (1 + beta * e[i])` with `e ~ U(-1, 1)`. Nothing of the size of the input is kept
    for backward.

    Args:
        beta: Half the width of the noise, in [0, 1).
        inplace: Write into the input.

    Shape:
        Any; the output has the shape of the input.

    Raises:
        ArgumentTypeError: beta is no number, or inplace no bool.
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

    def __init__(self, beta: float, inplace: bool = False) -> None:
        super().__init__()
        name, below, what = BETA
        self.beta = check_size(name, beta, below, what)
        self.inplace = check_bool("inplace", inplace)

    def extra_repr(self) -> str:
        """Half the width of the noise, and where is written."""
        return f"beta={self.beta}, inplace={self.inplace}"

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """`functional.uniform_dropout` with this module's beta and mode."""
        return F.uniform_dropout(input, self.beta, self.training, self.inplace)
