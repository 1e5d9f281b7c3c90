"""Concrete dropout: a relaxed mask through which the drop probability itself is learned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from .._core._validate import check_number, wrong_value
from .._core.contract.layout import MaskLayout
from .._core.contract.noise import Law
from ..random import Key
from ._call import check_call
from ._learned import NoiseIndices, check_parameter, multiplied
from ._override import overridable


@overridable
def concrete_dropout(
    input: torch.Tensor,
    p_logit: torch.Tensor,
    training: bool = True,
    temperature: float = 0.1,
    *,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
) -> torch.Tensor:
    r"""Dropout with a differentiable, nearly binary mask, and a gradient for p; identity in eval.

    `y = x * (1 - z) / (1 - p)` with `z = sigmoid((logit(p) + logit(u)) / t)`, u uniform on (0, 1),
    t the temperature. An element is dropped more than kept, `z > 1/2`, with probability exactly p;
    as t goes to 0, z becomes a draw of 0 or 1. p is given as its logit, which is the learned
    parameter: log p and log(1 - p) would lose digits where p is near 0 or 1.

    The mean of `(1 - z) / (1 - p)` is 1 at p = 1/2 and in the limit of a low temperature; it is
    0.9987 at p = 0.1 and t = 0.1.

    Args:
        input: Floating-point tensor.
        p_logit: `log(p / (1 - p))`: a floating-point tensor of one element, or of a shape that
            broadcasts to that of the input, such as `(C, 1, 1)` for a p for each channel.
        training: False returns `input` itself.
        temperature: Above 0. The lower it is, the steeper is the gradient of p, and the larger its
            variance.
        key: Names the noise; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: Dimensions along which all elements share a draw: `(-2, -1)` for whole
            channels of an image.
        layout: Mask indices, for example of a shard or a micro-batch.

    Shape:
        Any; the output has the shape of the input.

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted; the input is complex or
            nested.
        ArgumentValueError: temperature is not above 0 or not finite, p_logit does not broadcast to
            the input or is on another device, or as `dropout`.

    Example:
        >>> import torch, torchdropout as td
        >>> p_logit = torch.tensor(0.3).logit().requires_grad_()
        >>> y = td.functional.concrete_dropout(torch.ones(6), p_logit, key=td.Key(0))
        >>> y.detach().round(decimals=3)
        tensor([0.6850, 0.0050, 1.4280, 1.4290, 0.0190, 1.4290])
        >>> y.sum().backward()
        >>> bool(p_logit.grad < 0)
        True

    Reference:
        Y. Gal, J. Hron, A. Kendall, "Concrete dropout", NIPS 2017; the relaxation: C. J. Maddison,
        A. Mnih, Y. W. Teh, "The concrete distribution", ICLR 2017.
    """
    x = check_call(input, training, key, generator, complex_ok=False)
    parameter = check_parameter("p_logit", "log(p / (1 - p))", p_logit, x)
    factor = Relaxed(check_temperature(temperature))
    indices = NoiseIndices.of(x.shape, broadcast_dims, layout)
    if not training:
        return x
    return multiplied(x, "p_logit", parameter, factor, indices, key, generator)


def check_temperature(temperature: Any) -> float:
    """The temperature of the relaxation as a float."""
    value = check_number("temperature", "a number above 0, of the relaxation", temperature)
    if not 0.0 < value < math.inf:
        wrong_value("temperature", "above 0 and finite, of the relaxation", temperature)
    return value


class Relaxed(NamedTuple):
    """The factor `(1 - z) / (1 - p)`; e = logit(u) is logistic noise."""

    temperature: float

    @property
    def law(self) -> Law:
        """The distribution of e."""
        return Law.LOGISTIC

    def value(self, parameter: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        """The factor as `(1 - z) * (1 + exp(logit))`: no division by 0."""
        logit = _bounded(parameter)
        kept, scale = self._kept(logit, e), 1.0 + logit.exp()
        return kept * scale if torch.is_grad_enabled() else kept.mul_(scale)

    def derivatives(
        self, parameter: torch.Tensor, e: torch.Tensor, x: torch.Tensor, gradient: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The derivative of the factor w by the logit is `w * (p - z / t)`."""
        logit = _bounded(parameter)
        kept, scale = self._kept(logit, e), 1.0 + logit.exp()
        by_x = gradient * (kept * scale)
        # p - z / t, from 1 - z.
        at_zero = logit.sigmoid() - 1.0 / self.temperature
        if torch.is_grad_enabled():
            return by_x, by_x * x * (at_zero + kept / self.temperature)
        slope = torch.add(at_zero, kept, alpha=1.0 / self.temperature)
        return by_x, (by_x * x).mul_(slope)

    def _kept(self, logit: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        """`1 - z` as `sigmoid(-s)`, z = sigmoid(s), `s = (logit + e) / t`."""
        minus = torch.add(-logit / self.temperature, e, alpha=-1.0 / self.temperature)
        return minus.sigmoid_()  # a pass that allocates takes twice the time


def _bounded(logit: torch.Tensor) -> torch.Tensor:
    """Clamp the logit to where its exponential is finite; there p is 1 to all digits."""
    return logit.clamp(max=700.0 if logit.dtype == torch.float64 else 80.0)
