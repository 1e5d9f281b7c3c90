"""The distributions of the tests, by `scipy.special`.

`scipy.stats` has them all, but takes half a second to import and 60 microseconds for a value; a
run reads thousands of values one at a time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaincc, gammaln, ndtr, ndtri

Values = NDArray[np.float64]


def binomial_cdf(count: ArrayLike, n: int, p: ArrayLike) -> Values:
    """The probability of at most `count` of n events, each with probability p.

    Example:
        >>> float(binomial_cdf(1, 2, 0.5))
        0.75
    """
    at = np.asarray(count)
    inside = (at >= 0) & (at < n)
    return np.where(inside, betaincc(at + 1, n - at, p), at >= 0)


def binomial_sf(count: ArrayLike, n: int, p: ArrayLike) -> Values:
    """The probability of more than `count` of n events: exact where it is near 0, too.

    Example:
        >>> float(binomial_sf(99, 100, 0.5)) == 2.0**-100
        True
    """
    at = np.asarray(count)
    inside = (at >= 0) & (at < n)
    return np.where(inside, betainc(at + 1, n - at, p), at < 0)


def binomial_isf(chance: float, n: int, p: float) -> int:
    """The smallest count that n events exceed with probability `chance` at most."""
    return _first(lambda count: binomial_sf(count, n, p) <= chance, n)


def binomial_ppf(chance: float, n: int, p: float) -> int:
    """The smallest count that n events do not exceed with probability `chance` at least."""
    return _first(lambda count: binomial_cdf(count, n, p) >= chance, n)


def _first(holds: Callable[[int], Any], last: int) -> int:
    """The first count from which the condition holds; it holds at the last."""
    low, high = 0, last
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


@dataclass(frozen=True)
class Hypergeometric:
    """How many of `some` are among `chosen`, chosen at random from `total`.

    Example:
        >>> law = Hypergeometric(4, 2, 2)
        >>> round(law.cdf(0), 6), round(law.sf(1), 6), law.isf(0.2)
        (0.166667, 0.166667, 1)
    """

    total: int
    some: int
    chosen: int

    def cdf(self, count: int) -> float:
        """The probability of at most `count`."""
        low, chances = _chances(self)
        return float(chances[: max(0, count - low + 1)].sum())

    def sf(self, count: int) -> float:
        """The probability of more than `count`."""
        low, chances = _chances(self)
        return float(chances[max(0, count - low + 1) :].sum())

    def isf(self, chance: float) -> int:
        """The smallest count that is exceeded with probability `chance` at most."""
        return _first(lambda count: self.sf(count) <= chance, self.chosen)


@functools.lru_cache(maxsize=64)
def _chances(law: Hypergeometric) -> tuple[int, Values]:
    """The smallest possible count, and the probability of it and of those above it."""

    def ways(of: int, k: Any) -> Any:
        return gammaln(of + 1) - gammaln(k + 1) - gammaln(of - k + 1)

    low = max(0, law.chosen + law.some - law.total)
    k = np.arange(low, min(law.some, law.chosen) + 1)
    log = ways(law.some, k) + ways(law.total - law.some, law.chosen - k)
    weight = np.exp(log - log.max())
    return low, weight / weight.sum()


@dataclass(frozen=True)
class Normal:
    """The normal distribution.

    Example:
        >>> float(Normal().cdf(0.0)), round(float(Normal(1.0, 2.0).ppf(0.975)), 4)
        (0.5, 4.9199)
    """

    mean: float = 0.0
    deviation: float = 1.0

    def cdf(self, value: Any) -> Any:
        """The probability of a number up to `value`."""
        return ndtr((np.asarray(value) - self.mean) / self.deviation)

    def ppf(self, chance: Any) -> Any:
        """The number below which the probability is `chance`."""
        return self.mean + self.deviation * ndtri(chance)

    def isf(self, chance: Any) -> Any:
        """The number above which the probability is `chance`: exact where that is near 0, too."""
        return self.mean - self.deviation * ndtri(chance)


@dataclass(frozen=True)
class Uniform:
    """The uniform distribution from `low` to `high`."""

    low: float
    high: float

    def cdf(self, value: Any) -> Any:
        """The probability of a number up to `value`."""
        return np.clip((np.asarray(value) - self.low) / (self.high - self.low), 0.0, 1.0)

    def ppf(self, chance: Any) -> Any:
        """The number below which the probability is `chance`."""
        return self.low + (self.high - self.low) * np.asarray(chance)
