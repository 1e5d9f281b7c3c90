"""Dropout that keeps mean and variance for SELU networks, as modules."""

from __future__ import annotations

import torch
from torch.compiler import is_dynamo_compiling

from .. import functional as F
from ..functional.alpha_dropout import alpha
from ..random import Key
from ._module import DropoutModule


class AlphaDropout(DropoutModule, torch.nn.AlphaDropout):
    r"""Dropout that keeps mean 0 and variance 1 in training; the identity in eval.

    The formula is that of `functional.alpha_dropout`. A drop-in subclass of
    `torch.nn.AlphaDropout`, with one difference: torch ignores `inplace=True`.

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
        >>> _ = torch.manual_seed(0)
        >>> y = td.nn.AlphaDropout(0.3)(torch.randn(100_000))
        >>> round(y.mean().item(), 1), round(y.std().item(), 1)
        (0.0, 1.0)

    Reference:
        G. Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.
    """

    def _constants(self) -> tuple[float, ...]:
        return alpha(self.p).constants

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """`functional.alpha_dropout` with this module's p and mode; `key` names the mask."""
        p = self._traced_rate() if is_dynamo_compiling() else self.p
        return F.alpha_dropout(input, p, self.training, self.inplace, key=key)


class FeatureAlphaDropout(DropoutModule, torch.nn.FeatureAlphaDropout):
    r"""Alpha dropout of whole channels in training; the identity in eval.

    The formula is that of `functional.feature_alpha_dropout`, with one draw for each (sample,
    channel). A drop-in subclass of `torch.nn.FeatureAlphaDropout`, with one
    difference: torch ignores `inplace=True`.

    Args:
        p: Drop probability in [0, 1].
        inplace: Write into the input.

    Shape:
        `(N, C, ...)`; the output has the shape of the input.

    Raises:
        ArgumentTypeError: p is not a number, or inplace not a bool.
        ArgumentValueError: p is NaN or outside [0, 1].
        ShapeError: At the call in training, the input has fewer than two dimensions.

    Example:
        >>> import torch, torchdropout as td
        >>> y = td.nn.FeatureAlphaDropout(0.5)(torch.zeros(4, 8, 6))
        >>> bool((y == y[:, :, :1]).all())
        True

    Reference:
        G. Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017; the channel-wise form
        is torch's.
    """

    def _constants(self) -> tuple[float, ...]:
        return alpha(self.p).constants

    def forward(self, input: torch.Tensor, *, key: Key | None = None) -> torch.Tensor:
        """`functional.feature_alpha_dropout` with this module's p; `key` names the mask."""
        p = self._traced_rate() if is_dynamo_compiling() else self.p
        return F.feature_alpha_dropout(input, p, self.training, self.inplace, key=key)
