"""Gaussian dropout of whole channels, as a module."""

from __future__ import annotations

import torch
from torch.compiler import is_dynamo_compiling

from .. import functional as F
from ..random import Key
from .gaussian_dropout import GaussianDropout


class FeatureGaussianDropout(GaussianDropout):
    r"""Multiply whole channels by noise ~ N(1, p/(1-p)) in training; the identity in eval.

    `y[n, c, ...] = x[n, c, ...] * (1 + sqrt(p / (1 - p)) * e[n, c])` with `e ~ N(0, 1)`: one draw
    for each (sample, channel).

    Args:
        p: Dropout's p, in [0, 1): at 1 the variance would be infinite.
        inplace: Write into the input.

    Shape:
        `(N, C, ...)`; the output has the shape of the input.

    Raises:
        ArgumentTypeError: p is not a number, or inplace not a bool.
        ArgumentValueError: p is NaN or outside [0, 1).
        ShapeError: At the call in training, the input has fewer than two dimensions.

    Example:
        >>> import torch, torchdropout as td
        >>> y = td.nn.FeatureGaussianDropout(0.2)(torch.ones(4, 8, 6))
        >>> bool((y == y[:, :, :1]).all())
        True

    Reference:
        As `functional.feature_gaussian_dropout`.
    """

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """`functional.feature_gaussian_dropout` with this module's p; `key` names the noise."""
        p = self._traced_rate() if is_dynamo_compiling() else self.p
        return F.feature_gaussian_dropout(input, p, self.training, self.inplace, key=key)
