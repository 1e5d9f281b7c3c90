"""The distributions of the tests, by `scipy.special`.

`scipy.stats` has them all, but takes half a second to import and 60 microseconds for a value; a
run reads thousands of values one at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaincc, ndtr, ndtri

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
