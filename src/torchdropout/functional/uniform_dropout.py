"""Dropout's multiplicative noise, uniform instead of Bernoulli."""

from __future__ import annotations

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
def uniform_dropout(
    input: torch.Tensor,
    beta: Probability,
    training: bool = True,
    inplace: bool = False,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Multiply by noise that is uniform between 1 - beta and 1 + beta ("Uout"); identity in eval.

    `y[i] = x[i] * (1 + beta * e[i])` with `e ~ U(-1, 1)`: the mean of y is x. The variance of the
    noise, beta^2 / 3, is at most a third: if batch normalisation follows, the variance that it
    sees in training is closer to that in eval than with dropout. The noise is a pure function of
    (key, index); the backward regenerates it.

    Args:
        input: Floating-point tensor of 16 bits or more.
        beta: Half the width of the noise, in [0, 1).
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
        ArgumentValueError: As in `gaussian_dropout`, but beta is NaN or outside [0, 1).

    Example:
        >>> import torch, torchdropout as td
        >>> td.functional.uniform_dropout(torch.ones(4), 0.5, key=td.Key(0))
        tensor([0.8456, 1.3005, 0.8665, 1.2453])

    Reference:
        X. Li et al., "Understanding the disharmony between dropout and batch normalization by
        variance shift", arXiv:1801.05134 (2018): "Uout".
    """
    return apply(
        noise_of(beta),
        *(input, training, inplace, key, generator, broadcast_dims, layout, out),
        complex_ok=False,
    )


def check_beta(beta: Any) -> float:
    """Check half the width of the noise."""
    return check_size("beta", beta, 1.0, "half the width of the noise")


def noise_of(beta: Probability) -> KeyedMap:
    """Noise that is a factor; raises as `check_beta` does."""
    if isinstance(beta, Rate):
        return traced_noise(Law.UNIFORM, beta)
    return noise(Law.UNIFORM, check_beta(beta), 0.0)
