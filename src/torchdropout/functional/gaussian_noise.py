"""Additive normal noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from .._core.contract.layout import MaskLayout
from .._core.contract.noise import Law
from ..random import Key
from ._call import KeyedMap, apply
from ._noise import check_size, noise, traced_noise
from ._override import overridable
from ._rate import Probability, Rate


@overridable
def gaussian_noise(
    input: torch.Tensor,
    sigma: Probability,
    training: bool = True,
    inplace: bool = False,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Add normal noise of mean 0 and standard deviation sigma; identity in eval.

    `y[i] = x[i] + sigma * e[i]` with `e ~ N(0, 1)`. The noise is a pure function of (key, index),
    as in `gaussian_dropout`; the gradient passes unchanged.

    Args:
        input: Floating-point tensor of 16 bits or more.
        sigma: Standard deviation of the noise: 0 or more, finite.
        training: False returns `input` itself.
        inplace: Write into `input` and return it.
        key: Names the noise; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: Dimensions along which all elements share their noise.
        layout: Mask indices, as in `dropout`.
        out: Written into and returned; as in `dropout`.

    Shape:
        Any; the output has the shape, dtype and device of the input.

    Raises:
        ArgumentTypeError: As in `gaussian_dropout`.
        ArgumentValueError: As in `gaussian_dropout`, but sigma is NaN, infinite or negative.

    Example:
        >>> import torch, torchdropout as td
        >>> td.functional.gaussian_noise(torch.zeros(4), 0.5, key=td.Key(0))
        tensor([ 1.0086,  0.5561,  0.5186, -0.0236])

    Reference:
        C. M. Bishop, "Training with noise is equivalent to Tikhonov regularization", Neural
        Computation 7 (1995); Keras' `GaussianNoise`, whose `stddev` is sigma.
    """
    return apply(
        noise_of(sigma),
        *(input, training, inplace, key, generator, broadcast_dims, layout, out),
        complex_ok=False,
    )


def check_sigma(sigma: Any) -> float:
    """Check a standard deviation."""
    return check_size("sigma", sigma, math.inf, "the standard deviation of the noise")


def noise_of(sigma: Probability) -> KeyedMap:
    """Noise that is added; raises as `check_sigma` does."""
    if isinstance(sigma, Rate):
        return traced_noise(Law.NORMAL, sigma)
    return noise(Law.NORMAL, 0.0, check_sigma(sigma))
