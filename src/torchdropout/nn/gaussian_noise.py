"""Additive normal noise, as a module."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch.compiler import is_dynamo_compiling

from .. import functional as F
from .._core._validate import check_bool
from ..functional.gaussian_noise import check_sigma, noise_of
from ..random import Key
from ._module import RateModule


class GaussianNoise(RateModule):
    r"""Add noise ~ N(0, sigma^2) in training; the identity in eval.

    `y[i] = x[i] + sigma * e[i]` with `e ~ N(0, 1)`. Nothing is kept for backward.

    Args:
        sigma: Standard deviation of the noise: 0 or more, finite.
        inplace: Write into the input.

    Shape:
        Any; the output has the shape of the input.

    Raises:
        ArgumentTypeError: sigma is not a number, or inplace not a bool.
        ArgumentValueError: sigma is NaN, infinite or negative.

    Example:
        >>> import torch, torchdropout as td
        >>> layer = td.nn.GaussianNoise(0.1)
        >>> layer
        GaussianNoise(sigma=0.1, inplace=False)
        >>> x = torch.ones(3)
        >>> layer.eval()(x) is x
        True

    Reference:
        C. M. Bishop, "Training with noise is equivalent to Tikhonov regularization", Neural
        Computation 7 (1995).
    """

    sigma: float
    _rate_name = "sigma"
    _given: ClassVar = {"sigma": check_sigma}

    def __init__(self, sigma: float, inplace: bool = False) -> None:
        super().__init__()
        self.sigma = sigma
        self.inplace = check_bool("inplace", inplace)

    def _constants(self) -> tuple[float, ...]:
        _law, *constants = noise_of(self.sigma).constants
        return tuple(constants)

    def extra_repr(self) -> str:
        """The standard deviation, and inplace."""
        return f"sigma={self.sigma}, inplace={self.inplace}"

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """`functional.gaussian_noise` with this module's sigma and mode; `key` names the noise."""
        sigma = self._traced_rate() if is_dynamo_compiling() else self.sigma
        return F.gaussian_noise(input, sigma, self.training, self.inplace, key=key)
