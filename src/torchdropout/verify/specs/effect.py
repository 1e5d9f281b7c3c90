"""What dropout does to a kept and to a dropped value, and how to tell the two apart."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from scipy.special import expit, logit

from .. import probability
from ..rounding import ULPS, ulp
from ..subject import held

# Klambauer et al. (2017): the value that SELU tends to for x to minus infinity, -scale * alpha.
ALPHA = -1.7580993408473766
# The probability that noise is so near a number that rounding decides its side.
RESOLVED = 1e-4


class Effect(ABC):
    """What a target does to a value that it drops or keeps."""

    @abstractmethod
    def decode(self, x: torch.Tensor, y: torch.Tensor, p: float) -> torch.Tensor:
        """Return the plain dropout of x that y represents: x / (1 - p) or 0, with y's gradient.

        A value that the effect cannot produce is decoded to one that plain dropout cannot produce.
        """


class _Read(torch.autograd.Function):
    """Decoded values; the gradient flows to the values they were decoded from."""

    @staticmethod
    def forward(
        ctx: Any, y: torch.Tensor, values: torch.Tensor, factor: torch.Tensor
    ) -> torch.Tensor:
        """Return `values`, with the gradient of `y * factor`."""
        ctx.factor = factor
        return values.to(y.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Scale the gradient with one rounding: the factor is in float64."""
        (grad,) = grads
        return (grad.double() * ctx.factor).to(grad.dtype), None, None


def _read(y: torch.Tensor, values: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    read: torch.Tensor = _Read.apply(y, values, factor)
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
    """Decode `kept: slope * x + shift, dropped: value`; from several such effects, the best fit.

    Args:
        x: The input.
        y: The output.
        p: The drop probability.
        constants: Slope, shift and dropped value of each effect.
        size: Size of the terms whose difference is the dropped value: it is rounded like them.
    """
    given, got = x.detach().double(), y.detach().double()
    best: tuple[int, torch.Tensor, float] | None = None
    for slope, shift, dropped in constants:
        kept = _near(got, given, slope, shift, p, y.dtype)
        zero = got == dropped if not size else (got - dropped).abs() <= _slack(size, p, y.dtype)
        known = kept | zero
        fits = int(torch.count_nonzero(known))
        if best is not None and fits <= best[0]:
            continue
        value = torch.where(kept, given / (1 - p), 0.0)
        if fits < known.numel():
            value = torch.where(known, value, (got - shift) / (slope * (1 - p)))
        best = fits, value, slope
    assert best is not None
    return _read(y, best[1], _constant(y, 1 / ((1 - p) * best[2])))


def _near(
    got: torch.Tensor, given: torch.Tensor, slope: float, shift: float, p: float, dtype: torch.dtype
) -> torch.Tensor:
    """Where an output is `slope * given + shift`, up to the rounding of a dtype."""
    want = slope * given
    terms = want.abs().clamp_min_(abs(shift))
    want += shift
    allowed = ulp(terms, dtype).mul_(ULPS)
    if dtype != torch.float64:  # p may be held in float32
        allowed.add_(terms, alpha=2.0**-24 / (1 - p))
    if shift:  # a second number that is rounded separately
        allowed.add_(_slack(abs(shift), p, dtype))
    if bool(torch.isfinite(want.sum())):
        return (got - want).abs_() <= allowed
    # Equality first: the difference of two infinities is NaN, and no tolerance applies to one.
    allowed = torch.where(torch.isfinite(want), allowed, 0.0)
    return (got == want) | ((got - want).abs() <= allowed)


@functools.cache
def _slack(size: float, p: float, dtype: torch.dtype) -> float:
    """The tolerance of a difference of such terms, cached because calls are many and small."""
    slack = float(ULPS * ulp(torch.tensor(size, dtype=torch.float64), dtype))
    return slack if dtype == torch.float64 else slack + size * 2.0**-24 / (1 - p)


@dataclass(frozen=True)
class Scaled(Effect):
    """Kept: x times one of the scales; dropped: 0.

    Attributes:
        unscaled: Whether the scale may be 1 instead of 1 / (1 - p).
        inverse: Whether it may be 1 / (1 - p).
        bits: If p is held to this many bits, the scale may be that of the held p.
    """

    unscaled: bool = False
    inverse: bool = True
    bits: int = 0

    def decode(self, x: torch.Tensor, y: torch.Tensor, p: float) -> torch.Tensor:
        """See `Effect.decode`."""
        if not 0 < p < 1 or (self.inverse and not self.unscaled and not self.bits):
            return y  # y is already a plain dropout
        rates = (p, *held(p, self.bits)) if self.bits else (p,)
        scales = [1 / (1 - rate) for rate in rates if rate < 1] if self.inverse else []
        scales += [1.0] if self.unscaled else []
        return decode_affine(x, y, p, [(scale, 0.0, 0.0) for scale in scales])


@dataclass(frozen=True)
class Alpha(Effect):
    """Klambauer et al. (2017): dropped values become alpha', then all are a * value + b.

    a and b keep mean 0 and variance 1.
    """

    def constants(self, p: float) -> tuple[float, float, float]:
        """Slope and shift of kept values, and the value that replaces dropped ones."""
        a = ((1 - p) * (1 + p * ALPHA**2)) ** -0.5
        b = -a * p * ALPHA
        return a, b, a * ALPHA + b

    def decode(self, x: torch.Tensor, y: torch.Tensor, p: float) -> torch.Tensor:
        """See `Effect.decode`."""
        if not 0 < p < 1:
            return y
        slope, shift, dropped = self.constants(p)
        return decode_affine(x, y, p, [(slope, shift, dropped)], size=-slope * ALPHA)


class Distribution(Protocol):
    """A continuous distribution of one number."""

    def cdf(self, value: Any) -> Any:
        """The probability of a number up to `value`."""

    def ppf(self, chance: Any) -> Any:
        """The number below which the probability is `chance`."""


class Noise(Effect):
    """Continuous noise on every value: `y = x * noise`, or `y = x + noise`.

    A value counts as dropped if its noise is below the p-quantile of the distribution: this has
    probability p, whatever the distribution. The check `noise-law` tests the distribution itself.

    Attributes:
        added: Whether the noise is added, not multiplied.
    """

    added: ClassVar[bool] = False

    @abstractmethod
    def of(self, p: float) -> Distribution:
        """The distribution of the noise at p."""

    @abstractmethod
    def size(self, p: float) -> float:
        """The size of the terms that the noise at p is computed from: it is rounded like them."""

    def noise(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The factor of x, or the number that was added to it, in float64."""
        given, got = x.detach().double(), y.detach().double()
        return got - given if self.added else got / given

    def decode(self, x: torch.Tensor, y: torch.Tensor, p: float) -> torch.Tensor:
        """See `Effect.decode`."""
        if not 0 < p < 1:
            return y
        noise = self.noise(x, y)
        kept = noise > _quantile(self, p)
        values = torch.where(kept, x.detach().double() / (1 - p), 0.0)
        # Noise that is NaN cannot be drawn: it stays NaN, which the checks find.
        values = torch.where(torch.isnan(noise), noise, values)
        slope = torch.ones_like(noise) if self.added else noise
        return _read(y, values, torch.where(kept, 1 / ((1 - p) * slope), 0.0))

    def resolved(self, p: float, chances: Sequence[float]) -> list[float]:
        """Select the probabilities whose quantiles float32 distinguishes from neighbouring numbers.

        Where a distribution accumulates at an end, as a relaxed mask does at 0 and 1, rounding
        determines the counts, not the distribution.
        """
        noise, step = self.of(p), 4 * 2.0**-24 * self.size(p)
        return [
            chance
            for chance, at in zip(chances, noise.ppf(np.array(chances)), strict=True)
            if noise.cdf(at + step) - noise.cdf(at - step) < RESOLVED
        ]


@functools.cache
def _quantile(noise: Noise, p: float) -> float:
    """The p-quantile of the noise, cached because calls are many and small."""
    return float(noise.of(p).ppf(p))


@dataclass(frozen=True)
class Gaussian(Noise):
    """Srivastava et al. (2014): x times N(1, p / (1 - p))."""

    def of(self, p: float) -> Distribution:
        """See `Noise.of`."""
        return probability.Normal(1.0, (p / (1 - p)) ** 0.5)

    def size(self, p: float) -> float:
        """See `Noise.size`."""
        return float(1 + (p / (1 - p)) ** 0.5)


@dataclass(frozen=True)
class Uniform(Noise):
    """Li et al. (2019), "Uout": x times U(1 - beta, 1 + beta); beta takes the role of p."""

    def of(self, p: float) -> Distribution:
        """See `Noise.of`."""
        return probability.Uniform(1 - p, 1 + p)

    def size(self, p: float) -> float:
        """See `Noise.size`."""
        return 1 + p


@dataclass(frozen=True)
class Added(Noise):
    """x plus N(0, sigma^2); sigma takes the role of p."""

    added: ClassVar[bool] = True

    def of(self, p: float) -> Distribution:
        """See `Noise.of`."""
        return probability.Normal(0.0, p)

    def size(self, p: float) -> float:
        """See `Noise.size`."""
        return 2 + p


@dataclass(frozen=True)
class Relaxed(Noise):
    """Gal et al. (2017): x times (1 - z) / (1 - p), z = sigmoid((logit p + logit u) / temperature).

    Its p-quantile is where z = 1/2.
    """

    temperature: float = 0.1

    def of(self, p: float) -> Distribution:
        """See `Noise.of`."""
        return _Relaxed(p, self.temperature)

    def size(self, p: float) -> float:
        """See `Noise.size`."""
        return 1 / (1 - p)


@dataclass(frozen=True)
class _Relaxed:
    """The distribution of (1 - z) / (1 - p): P(1 - z < s) = sigmoid(logit p + t logit s)."""

    p: float
    temperature: float

    def cdf(self, value: Any) -> Any:
        return expit(logit(self.p) + self.temperature * logit(np.clip(value * (1 - self.p), 0, 1)))

    def ppf(self, chance: Any) -> Any:
        return expit((logit(chance) - logit(self.p)) / self.temperature) / (1 - self.p)


@dataclass(frozen=True)
class AnyScale(Effect):
    """Dropped: 0; kept: x times a scale chosen by the call, such as one over the fraction kept."""

    def decode(self, x: torch.Tensor, y: torch.Tensor, p: float) -> torch.Tensor:
        """See `Effect.decode`."""
        if not 0 < p < 1:
            return y
        given, got = x.detach().double(), y.detach().double()
        kept = got != 0
        values = torch.where(torch.isnan(got), got, torch.where(kept, given / (1 - p), 0.0))
        factor = torch.where(kept, given / got, 1.0) / (1 - p)
        return _read(y, values, factor)
