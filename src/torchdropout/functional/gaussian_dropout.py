"""Dropout's multiplicative noise, normal instead of Bernoulli."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from .._core._validate import check_p, wrong_value
from .._core.contract.layout import MaskLayout
from .._core.contract.noise import Law
from ..random import Key
from ._call import KeyedMap, apply
from ._noise import noise, traced_noise
from ._override import overridable
from ._rate import Probability, Rate


@overridable
def gaussian_dropout(
    input: torch.Tensor,
    p: Probability = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Multiply by normal noise of mean 1 and dropout's variance, p/(1-p); identity in eval.

    `y[i] = x[i] * (1 + sqrt(p / (1 - p)) * e[i])` with `e ~ N(0, 1)`: the mean of y is x, and its
    variance is that of `dropout` with the same p. The noise is a pure function of (key, index), the
    same for every dtype, memory layout, device and number of threads; the backward regenerates it.

    Args:
        input: Floating-point tensor of 16 bits or more.
        p: Dropout's p, in [0, 1). At 1 the variance would be infinite.
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
        ArgumentTypeError: As in `dropout`; a complex or nested input is refused too.
        ArgumentValueError: As in `dropout`, but p is NaN or outside [0, 1).

    Example:
        >>> import torch, torchdropout as td
        >>> td.functional.gaussian_dropout(torch.ones(4), 0.2, key=td.Key(0))
        tensor([2.0086, 1.5561, 1.5186, 0.9764])

    Reference:
        N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
        JMLR 15 (2014), section 10; the name and p are those of Keras' layer.
    """
    return apply(
        noise_of(p),
        *(input, training, inplace, key, generator, broadcast_dims, layout, out),
        complex_ok=False,
    )


def noise_of(p: Probability) -> KeyedMap:
    """Noise of the same variance as dropout's; raises as `check_p_below_one` does."""
    if isinstance(p, Rate):
        return traced_noise(Law.NORMAL, p)
    p = check_p_below_one(p)
    return noise(Law.NORMAL, math.sqrt(p / (1.0 - p)), 0.0)


def check_p_below_one(p: Any) -> float:
    """Check a p whose noise has a finite variance."""
    value = check_p(p)
    if value == 1.0:
        wrong_value("p", "in [0, 1): the variance of the noise is p / (1 - p)", p)
    return value
