"""The statistics of the checks: exact tests, their power, and the sample sizes they need.

All tests are on counts whose distribution under the null hypothesis is known exactly, because the
drop probability is known: no fitted parameter, no normal approximation in a tail. Dependence is
tested on *disjoint* pairs or blocks, so that the counted events are independent of each other and
their number is exactly binomial. Normal approximations appear in one place, `size_for`, where an
error makes a sample slightly too small, which `smallest_seen` then reports.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, gammaincinv

from .probability import Normal, binomial_cdf, binomial_isf, binomial_ppf, binomial_sf

POWER = 0.99
STANDARD = Normal()

# A drop probability may be held to 24 bits: `torch.rand(...) < p` draws multiples of 2^-24 in
# float32, so its true rate is the next multiple above p. The null hypothesis is this interval, so
# that such a dropout is never reported, however many elements are tested.
SLACK = 2.0**-24

# A pool of this many masks counts as all of them: torch's CPU generator has as many seeds, and a
# dropout that seeds one in every call cannot have more.
ENOUGH = 2.0**32

Bits = NDArray[np.bool_]


def binomial_p_values(
    counts: ArrayLike, n: int, p: ArrayLike, slack: float = 0.0
) -> NDArray[np.float64]:
    """Two-sided p-values of counts of events in `n`, each with a probability within `slack` of `p`.

    Twice the smaller exact tail, at the point of the interval nearest to the observed rate: the
    probability of a value below a under the null hypothesis is at most a, for every a.
    """
    count, middle = np.asarray(counts), np.asarray(p, dtype=float)
    if middle.ndim == 0:  # many counts are equal, and an exact tail is slow
        values, places = np.unique(count, return_inverse=True)
        if values.size < count.size:
            return binomial_p_values(values, n, p, slack)[places.reshape(count.shape)]
    nearest = np.clip(count / n, middle - slack, middle + slack)
    tail = np.minimum(binomial_cdf(count, n, nearest), binomial_sf(count - 1, n, nearest))
    return np.asarray(np.minimum(1.0, 2 * tail), dtype=float)


def binomial_p_value(count: int, n: int, p: float, slack: float = 0.0) -> float:
    """The `binomial_p_values` of one count.

    Example:
        >>> round(binomial_p_value(60, 100, 0.5), 4)
        0.0569
    """
    return float(binomial_p_values(count, n, p, slack))


def smallest_seen(n: int, p: float, alpha: float, power: float = POWER) -> float:
    """The smallest change of a rate that `n` events find with `power`, in the worse direction.

    Exact: first the rejection limits of `binomial_p_value` are found, then the true rates that
    cross them with the requested power, by inverting the binomial tail (an incomplete beta).

    Example:
        >>> round(smallest_seen(1_000_000, 0.1, 1e-6), 5)
        0.00218
    """
    above = _upper_limit(n, p, alpha)
    below = n - _upper_limit(n, 1 - p, alpha)
    changes = []
    if above <= n:
        changes.append(float(betaincinv(above, n - above + 1, power)) - p)
    if below >= 0:
        changes.append(p - float(betaincinv(below + 1, n - below, 1 - power)))
    return max(changes, default=1.0)


def _upper_limit(n: int, p: float, alpha: float) -> int:
    """The smallest count that is rejected as too high: P(X >= count) < alpha / 2."""
    # isf gives the smallest k with P(X > k) <= alpha / 2; rejection starts one above it.
    return binomial_isf(alpha / 2, n, p) + 1


def interval(count: int, n: int, confidence: float = 0.99) -> tuple[float, float]:
    """The exact interval of Clopper and Pearson (1934) for the rate of the counted events.

    Example:
        >>> low, high = interval(50, 100)
        >>> round(low, 3), round(high, 3)
        (0.369, 0.631)
    """
    tail = (1 - confidence) / 2
    low = float(betaincinv(count, n - count + 1, tail)) if count else 0.0
    high = float(betaincinv(count + 1, n - count, 1 - tail)) if count < n else 1.0
    return low, high


def size_for(p: float, change: float, alpha: float, power: float = POWER) -> int:
    """About how many events reveal that a rate is `p + change` or `p - change` and not `p`.

    Example:
        >>> size_for(0.1, 0.00218, 1e-6)
        986647
    """
    reach = float(STANDARD.isf(alpha / 2) + STANDARD.isf(1 - power))
    return max(16, math.ceil(p * (1 - p) * (reach / change) ** 2))


def pairs_differ(p: float) -> float:
    """The probability that two independent mask bits differ."""
    return 2 * p * (1 - p)


def bits_agree(p: float) -> float:
    """The probability that two independent mask bits are equal."""
    return p * p + (1 - p) * (1 - p)


def bits_to_tell(p: float, pairs: float, chance: float) -> int:
    """How many bits make the chance that any of `pairs` pairs of masks is equal less than `chance`.

    By the union bound over the pairs: `pairs * bits_agree(p) ** bits <= chance`.

    Example:
        >>> bits_to_tell(0.5, pairs=1, chance=2.0**-40)
        40
    """
    return math.ceil(math.log(pairs / chance) / -math.log(bits_agree(p)))


def repeats_limit(masks: int, alpha: float) -> int:
    """How many of `masks` masks must repeat an earlier one to show that they come from a pool.

    The null hypothesis is a pool of at least `ENOUGH` masks. Mask i then repeats an earlier one
    with probability at most i / ENOUGH, so the number of repeats is no larger than a sum of
    independent events; above its mean plus one its tail is below that of the binomial with the
    same mean (Hoeffding, 1956).
    """
    mean = masks * (masks - 1) / (2 * ENOUGH)
    limit = math.ceil(mean) + 1
    while binomial_sf(limit - 1, masks, mean / masks) > alpha:
        limit += 1
    return limit


def pool_seen(masks: int, limit: int, power: float = POWER) -> float:
    """The largest pool from which `masks` draws contain `limit` repeats with `power`.

    The number of repeats is Poisson to within the fraction of the pool that was drawn.
    """
    return float(masks * (masks - 1) / (2 * gammaincinv(limit, power)))


def masks_for_pool(pool: float, alpha: float) -> int:
    """How many masks reveal that they come from a pool of this size, below `ENOUGH`."""
    masks = 2
    while pool_seen(masks, repeats_limit(masks, alpha)) < pool:
        masks = math.ceil(masks * 1.02)
    return masks


def centre_of(n: int, p: float) -> tuple[int, int, float]:
    """The range `low..high` that Binomial(n, p) hits about half the time, and its probability.

    Example:
        >>> low, high, chance = centre_of(100, 0.5)
        >>> low, high, round(chance, 3)
        (47, 53, 0.516)
    """
    low, high = binomial_ppf(0.25, n, p), binomial_ppf(0.75, n, p)
    return low, high, float(binomial_cdf(high, n, p) - binomial_cdf(low - 1, n, p))


def spread_seen(n: int, p: float, sets: int, alpha: float) -> float:
    """The smallest change of the standard deviation of counts that `sets` counts find, as a factor.

    For a normal count with the same probability of falling into `centre_of(n, p)`.
    """
    chance = centre_of(n, p)[2]
    change = smallest_seen(sets, chance, alpha)
    width = STANDARD.isf((1 - chance) / 2)
    lost = STANDARD.isf((1 - max(chance - change, 1e-12)) / 2)
    won = STANDARD.isf((1 - min(chance + change, 1 - 1e-12)) / 2)
    return float(max(width / lost, won / width))


def disjoint_pairs(bits: Bits, lag: int, axis: int = -1) -> tuple[Bits, Bits]:
    """The bits at i and at i + lag along an axis, no bit in two pairs."""
    axis %= bits.ndim
    before, size, after = bits.shape[:axis], bits.shape[axis], bits.shape[axis + 1 :]
    blocks = size // (2 * lag)
    # The axes after this one stay innermost, which makes comparing fast.
    cut = bits.reshape(math.prod(before), size, math.prod(after))[:, : blocks * 2 * lag]
    cut = cut.reshape(-1, 2, lag * math.prod(after))
    return cut[:, 0], cut[:, 1]


def count_differing(first: Bits, second: Bits) -> tuple[int, int]:
    """The number of pairs that differ, and the number of pairs."""
    return int(np.count_nonzero(first != second)), first.size


def windows64(bits: Bits) -> NDArray[np.uint64]:
    """The 64 bits that start at each place, as integers; element i is for place i."""
    usable = (bits.size - 64) // 8 * 8
    out = np.empty((usable // 8, 8), dtype=np.uint64)
    for shift in range(8):
        packed = np.packbits(bits[shift : shift + usable + 56])
        out[:, shift] = (
            np.lib.stride_tricks.as_strided(packed, (usable // 8, 8), (1, 1))
            .copy()
            .view(np.uint64)[:, 0]
        )
    return out.ravel()


def find_repeat(bits: Bits, width: int) -> tuple[int, int] | None:
    """Find two places where the same `width` bits (64 or more) start, or None.

    64-bit windows are compared by sorting; those that agree are compared in full.
    """
    codes = windows64(bits)
    in_order = np.sort(codes)
    if not np.any(in_order[1:] == in_order[:-1]):
        return None
    order = np.argsort(codes, kind="stable")
    equal = np.flatnonzero(codes[order[1:]] == codes[order[:-1]])
    for at in equal[:4096]:
        first, second = int(order[at]), int(order[at + 1])
        if second + width <= bits.size and np.array_equal(
            bits[first : first + width], bits[second : second + width]
        ):
            return first, second
    return None


def rank_chance(size: int, lost: int) -> float:
    """The probability that a square matrix of random bits has rank `size - lost` over GF(2).

    Kovalenko (1972): a product over rows and columns, exact.

    Example:
        >>> [round(rank_chance(64, lost), 4) for lost in range(3)]
        [0.2888, 0.5776, 0.1284]
    """
    rank = size - lost
    product = 2.0 ** -(lost * lost)
    for i in range(rank):
        product *= (1 - 2.0 ** (i - size)) ** 2 / (1 - 2.0 ** (i - rank))
    return product


def ranks(bits: Bits) -> NDArray[np.int64]:
    """The ranks over GF(2) of square matrices, stacked along the first axis.

    Gaussian elimination of all matrices at once, 64 columns per word.
    """
    count, size, _ = bits.shape
    packed = np.packbits(bits, axis=2)
    words = np.ascontiguousarray(packed).view(np.uint64)
    rank = np.zeros(count, dtype=np.int64)
    each = np.arange(count)
    row = np.arange(size)
    for column in range(size):
        # packbits puts the first bit into the highest bit of a byte; bytes are little-endian.
        word, shift = column // 64, np.uint64((column % 64) // 8 * 8 + 7 - column % 8)
        has: Bits = np.not_equal((words[:, :, word] >> shift) & np.uint64(1), 0)
        free = has & (row >= rank[:, None])
        found: Bits = np.asarray(free.any(axis=1))
        pivot = np.where(found, free.argmax(axis=1), rank.clip(max=size - 1))
        target = np.where(found, rank, pivot)
        top = words[each, pivot].copy()
        words[each, pivot] = words[each, target]
        words[each, target] = top
        has = np.not_equal((words[:, :, word] >> shift) & np.uint64(1), 0)
        below = np.logical_and(has, np.logical_and(found[:, None], row > target[:, None]))
        words ^= np.where(below[:, :, None], top[:, None, :], np.uint64(0))
        rank += found
    return rank


@dataclass(frozen=True)
class Test:
    """One exact test: `count` events of `n`, `expected` a rate, and the p-value."""

    label: str
    count: int
    n: int
    expected: float
    p_value: float

    @property
    def rate(self) -> float:
        """The observed rate."""
        return self.count / self.n

    @property
    def share(self) -> str:
        """The observed rate, in words if a number would look like a count."""
        return {0: "none", self.n: "all"}.get(self.count, f"{self.rate:.6g}")

    def to_dict(self) -> dict[str, str | int | float]:
        """The test as JSON-ready data."""
        return {
            "label": self.label,
            "count": self.count,
            "n": self.n,
            "rate": self.rate,
            "expected": self.expected,
            "p_value": self.p_value,
        }


@dataclass
class Family:
    """The tests of one check, which share its false-alarm rate equally (Bonferroni).

    Attributes:
        alpha: False-alarm rate of all tests together.
        size: The number of tests, fixed before any is run.
    """

    alpha: float
    size: int
    tests: list[Test] = field(default_factory=list)

    @property
    def each(self) -> float:
        """False-alarm rate of one test."""
        return self.alpha / self.size

    def binomial(
        self, label: str, count: int, n: int, expected: float, slack: float = SLACK
    ) -> Test:
        """Add the test of `count` events in `n` against the rate `expected`."""
        self.binomials([label], [count], n, [expected], slack)
        return self.tests[-1]

    def binomials(
        self,
        labels: Sequence[str],
        counts: ArrayLike,
        n: int,
        expected: ArrayLike,
        slack: float = SLACK,
    ) -> None:
        """Add a test of each count of events in `n`; `expected` is one rate, or one for each."""
        if len(self.tests) + len(labels) > self.size:
            raise ValueError(f"a family of {self.size} tests got more: {labels[0]}")
        count = np.asarray(counts)
        rates = np.broadcast_to(np.asarray(expected, dtype=float), count.shape)
        p_values = binomial_p_values(count, n, expected, slack)
        self.tests += [
            Test(label, int(k), int(n), float(rate), float(p_value))
            for label, k, rate, p_value in zip(labels, count, rates, p_values, strict=True)
        ]

    def extreme(
        self, label: str, count: int, n: int, expected: float, slack: float, among: int
    ) -> None:
        """Add the test of the most extreme of `among` counts (Bonferroni)."""
        if len(self.tests) >= self.size:
            raise ValueError(f"a family of {self.size} tests got more: {label}")
        p_value = min(1.0, among * binomial_p_value(count, n, expected, slack))
        self.tests.append(Test(label, count, n, expected, p_value))

    @property
    def worst(self) -> Test:
        """The test with the smallest p-value."""
        return min(self.tests, key=lambda test: test.p_value)

    def rejected(self) -> Iterator[Test]:
        """The tests that reject, in the order they were added."""
        return (test for test in self.tests if test.p_value < self.each)
