"""Exact two-sample tests: whether two targets have one distribution, without knowing which.

A unit is one call on one fixed input after a seed of its own. If two targets have the same
distribution, their units are exchangeable: which of the two a unit came from says nothing about any
statistic of it, however the elements within a call depend on each other. So each statistic of the
units is cut at a point that depends on all of them together, and the number of one target's units
above it is exactly hypergeometric (Fisher's exact test; at the median, Mood's test). That costs a
factor of pi / 2 in elements compared with a comparison of sums, and assumes nothing.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from .. import stats
from ..probability import Hypergeometric, Normal

# A spread of units below this fraction of their size is due to rounding, not chance.
ROUNDING = 1e-5

Values = NDArray[np.float64]


def split_p_value(a: Values, b: Values) -> float:
    """The p-value of "one distribution" from how many of each lie above the median of all.

    Exact for exchangeable values, including ties: twice the smaller hypergeometric tail.

    Example:
        >>> split_p_value(np.arange(10.0), np.arange(10.0) + 100) < 3e-5
        True
        >>> split_p_value(np.arange(10.0), np.arange(10.0))
        1.0
    """
    both = np.concatenate([a, b])
    middle = float(np.median(both))
    above = both > middle
    # Where many values are equal, the cut that is nearer to half has more power.
    at_least = both >= middle
    if abs(2 * int(at_least.sum()) - both.size) < abs(2 * int(above.sum()) - both.size):
        above = at_least
    count, total = int(above[: a.size].sum()), int(above.sum())
    null = Hypergeometric(both.size, total, a.size)
    return float(min(1.0, 2 * min(null.cdf(count), null.sf(count - 1))))


def location_p_value(a: Values, b: Values) -> float:
    """`split_p_value` if the values differ by more than rounding, else 1."""
    both = np.concatenate([a, b])
    if float(np.ptp(both)) <= ROUNDING * float(np.abs(both).max()):
        return 1.0
    return split_p_value(a, b)


def spread_p_value(a: Values, b: Values) -> float:
    """`location_p_value` of how far the values lie from the median of all."""
    both = np.concatenate([a, b])
    middle = float(np.median(both))
    if float(np.ptp(both)) <= ROUNDING * float(np.abs(both).max()):
        return 1.0
    return split_p_value(np.abs(a - middle), np.abs(b - middle))


@functools.cache
def shift_seen(units: int, alpha: float, power: float = stats.POWER) -> float:
    """The smallest distance of two normal distributions that a split finds, in standard deviations.

    With `units` units of each. An upper bound: given the total number of units above the cut, the
    count of one target's units varies less than the binomial used here in its place.
    """
    limit = Hypergeometric(2 * units, units, units).isf(alpha / 2) + 1
    if limit > units:
        return math.inf
    return 2 * float(Normal().ppf(betaincinv(limit, units - limit + 1, power)))
