"""What becomes of a kept and of a dropped value, and how to read which of the two happened."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from scipy.stats import norm

from ..rounding import ULPS, ulp
from ..subject import held

# Klambauer et al. (2017): the value that SELU tends to for x to minus infinity, -scale * alpha.
ALPHA = -1.7580993408473766


class Law(ABC):
    """What a target does to a value, given that it drops or keeps it."""

    @abstractmethod
    def decode(self, x: torch.Tensor, y: torch.Tensor, p: float) -> torch.Tensor:
        """The plain dropout of x that y stands for: x / (1 - p) or 0, and y's gradient with it.

        A value that the law does not allow comes back as one that a plain dropout does not allow.
        """


class _Read(torch.autograd.Function):
    """Values as they were read; the gradient goes on to what they were read from."""

    @staticmethod
    def forward(
        ctx: Any, y: torch.Tensor, values: torch.Tensor, factor: torch.Tensor
    ) -> torch.Tensor:
        """`values`, with the gradient of `y * factor`."""
        ctx.factor = factor
        return values.to(y.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """One rounding: the factor is in float64."""
        (grad,) = grads
        return (grad.double() * ctx.factor).to(grad.dtype), None, None


def _read(y: torch.Tensor, values: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    read: torch.Tensor = _Read.apply(y, values, factor)  # type: ignore[no-untyped-call]
    return read


def _constant(y: torch.Tensor, value: float) -> torch.Tensor:
    return torch.full((), value, dtype=torch.float64, device=y.device)


def decode_affine(
    x: torch.Tensor,
    y: torch.Tensor,
    p: float,
    constants: Sequence[tuple[float, float, float]],
    size: float = 0.0,
) -> torch.Tensor:
    """Reads `kept: slope * x + shift, dropped: value`; of several such laws the one that fits best.

    Args:
        x: What was given.
        y: What came back.
        p: The drop probability.
        constants: Slope, shift and dropped value of each law.
        size: Of the terms that the dropped value is a difference of: its rounding is theirs.
    """
    given, got = x.detach().double(), y.detach().double()
    best: tuple[int, torch.Tensor, float] | None = None
    for slope, shift, dropped in constants:
        want = slope * given + shift
        terms = (slope * given).abs().clamp_min(abs(shift))
        allowed = ULPS * ulp(terms, y.dtype)
        if y.dtype != torch.float64:  # p may be held in float32
            allowed = allowed + terms * (2.0**-24 / (1 - p))
        # Equality first: the difference of two infinities is NaN, and nothing is near to one.
        allowed = torch.where(torch.isfinite(want), allowed, 0.0)
        kept = (got == want) | ((got - want).abs() <= allowed)
        slack = float(ULPS * ulp(_constant(y, size).cpu(), y.dtype)) * (size != 0)
        if y.dtype != torch.float64:
            slack += size * 2.0**-24 / (1 - p)
        zero = (got - dropped).abs() <= slack
        fits = int(torch.count_nonzero(kept | zero))
        value = torch.where(zero & ~kept, 0.0, (got - shift) / (slope * (1 - p)))
        value = torch.where(kept, given / (1 - p), value)
        if best is None or fits > best[0]:
            best = fits, value, slope
    assert best is not None
    return _read(y, best[1], _constant(y, 1 / ((1 - p) * best[2])))


@dataclass(frozen=True)
class Scaled(Law):
    """Kept: x times one of the scales; dropped: 0.

    Attributes:
        unscaled: Whether the scale may be 1 instead of 1 / (1 - p).
        inverse: Whether it may be 1 / (1 - p).
        bits: If p is held to so many bits, the scale may be that of the p that is held.
    """

    unscaled: bool = False
    inverse: bool = True
    bits: int = 0

    def decode(self, x: torch.Tensor, y: torch.Tensor, p: float) -> torch.Tensor:
        """See `Law.decode`."""
        if not 0 < p < 1 or (self.inverse and not self.unscaled and not self.bits):
            return y  # it is one already
        rates = (p, *held(p, self.bits)) if self.bits else (p,)
        scales = [1 / (1 - rate) for rate in rates if rate < 1] if self.inverse else []
        scales += [1.0] if self.unscaled else []
        return decode_affine(x, y, p, [(scale, 0.0, 0.0) for scale in scales])


@dataclass(frozen=True)
class Alpha(Law):
    """Klambauer et al. (2017): dropped values become alpha', then all are a * value + b.

    a and b keep mean 0 and variance 1.
    """

    def constants(self, p: float) -> tuple[float, float, float]:
        """Slope and shift of what is kept, and what is dropped becomes."""
        a = ((1 - p) * (1 + p * ALPHA**2)) ** -0.5
        b = -a * p * ALPHA
        return a, b, a * ALPHA + b

    def decode(self, x: torch.Tensor, y: torch.Tensor, p: float) -> torch.Tensor:
        """See `Law.decode`."""
        if not 0 < p < 1:
            return y
        slope, shift, dropped = self.constants(p)
        return decode_affine(x, y, p, [(slope, shift, dropped)], size=max(-slope * ALPHA, shift))


@dataclass(frozen=True)
class Gaussian(Law):
    """Srivastava et al. (2014): x times N(1, p / (1 - p)).

    "Dropped" is what was multiplied by less than the p-quantile: it happens with probability p.
    """

    def noise(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """What x was multiplied by, in float64."""
        return y.detach().double() / x.detach().double()

    def spread(self, p: float) -> float:
        """The standard deviation of the noise."""
        return float((p / (1 - p)) ** 0.5)

    def decode(self, x: torch.Tensor, y: torch.Tensor, p: float) -> torch.Tensor:
        """See `Law.decode`."""
        if not 0 < p < 1:
            return y
        noise = self.noise(x, y)
        kept = noise > 1 + self.spread(p) * float(norm.ppf(p))
        values = torch.where(kept, x.detach().double() / (1 - p), 0.0)
        # A noise that is no number is nobody's draw: it stays one for the checks to find.
        values = torch.where(torch.isnan(noise), noise, values)
        return _read(y, values, torch.where(kept, 1 / ((1 - p) * noise), 0.0))


@dataclass(frozen=True)
class AnyScale(Law):
    """Dropped: 0; kept: x times a scale that the call chooses, such as one over the share kept."""

    def decode(self, x: torch.Tensor, y: torch.Tensor, p: float) -> torch.Tensor:
        """See `Law.decode`."""
        if not 0 < p < 1:
            return y
        given, got = x.detach().double(), y.detach().double()
        kept = got != 0
        values = torch.where(torch.isnan(got), got, torch.where(kept, given / (1 - p), 0.0))
        factor = torch.where(kept, given / got, 1.0) / (1 - p)
        return _read(y, values, factor)
