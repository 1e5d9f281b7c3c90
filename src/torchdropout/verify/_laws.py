"""Two-sample tests: whether two targets have one law, without knowing which.

A unit is one call on one fixed input after a seed of its own. If two targets have one law, their
units are exchangeable: which of the two a unit came from says nothing about any figure of it,
however the elements within a call depend on each other. So each figure of the units is cut at a
point that depends on all of them together, and how many of one target's units lie above it is
hypergeometric exactly (Fisher's exact test; at the median, Mood's test). That costs a factor of
pi / 2 in elements against a comparison of sums and assumes nothing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import betaincinv
from scipy.stats import hypergeom, norm

from . import stats
from ._looking import Looking
from .checks.dtype import DTYPES
from .comparison import Group, Row
from .context import Context, seed_all
from .rounding import exact, tolerance, ulp

UNITS = 256
# Beside the grid of the checks: here half precision goes wrong.
HALF_P = 0.99
PLACES = 16
LAGS = (1, 2, 3, 4, 8, 16, 32)
AXIS = (1, 2)
# Samples, channels and columns of a unit; its rows are as many as are needed.
SIDES = (4, 16, 16)
# A spread of units below this part of their size is rounding and not chance.
ROUNDING = 1e-5
# Values whose scale is looked at, each in so many copies that one is kept but for e^-30.
KINDS = 64
MISSED = 30.0

Values = NDArray[np.float64]


def split_p_value(a: Values, b: Values) -> float:
    """The p-value of "one law" from how many of each lie above the median of all.

    Exact for exchangeable figures, ties and all: twice the smaller hypergeometric tail.

    Example:
        >>> split_p_value(np.arange(10.0), np.arange(10.0) + 100) < 3e-5
        True
        >>> split_p_value(np.arange(10.0), np.arange(10.0))
        1.0
    """
    both = np.concatenate([a, b])
    middle = float(np.median(both))
    above = both > middle
    # Where many figures are equal, the cut that comes nearer to half tells more.
    at_least = both >= middle
    if abs(2 * int(at_least.sum()) - both.size) < abs(2 * int(above.sum()) - both.size):
        above = at_least
    count, total = int(above[: a.size].sum()), int(above.sum())
    law = hypergeom(both.size, total, a.size)
    return float(min(1.0, 2 * min(law.cdf(count), law.sf(count - 1))))


def location_p_value(a: Values, b: Values) -> float:
    """`split_p_value`, where the figures differ by more than rounding."""
    both = np.concatenate([a, b])
    if float(np.ptp(both)) <= ROUNDING * float(np.abs(both).max()):
        return 1.0
    return split_p_value(a, b)


def spread_p_value(a: Values, b: Values) -> float:
    """The same for how far the figures lie from the median of all."""
    both = np.concatenate([a, b])
    middle = float(np.median(both))
    if float(np.ptp(both)) <= ROUNDING * float(np.abs(both).max()):
        return 1.0
    return split_p_value(np.abs(a - middle), np.abs(b - middle))


@functools.cache
def shift_seen(units: int, alpha: float, power: float = stats.POWER) -> float:
    """The smallest distance of two normal laws, in standard deviations, that a split sees.

    With so many units of each. An upper bound: given how many units lie above in all, the count
    of one target's varies less than the binomial that is put in its place here.
    """
    limit = int(hypergeom.isf(alpha / 2, 2 * units, units, units)) + 1
    if limit > units:
        return math.inf
    return 2 * float(norm.ppf(betaincinv(limit, units - limit + 1, power)))


@dataclass
class Units:
    """The figures of the units of one target at one p and dtype.

    Attributes:
        size: Elements of a unit.
        figures: By name, one a unit.
        bits: Which elements were not zero, where they were asked for; a unit a row.
    """

    size: int
    figures: dict[str, list[float]] = field(default_factory=dict)
    bits: stats.Bits | None = None

    @property
    def said(self) -> str:
        """For a row in which the other target has none."""
        return f"{self['zeros'].mean() / self.size:.6g}"

    def __getitem__(self, name: str) -> Values:
        return np.asarray(self.figures[name], dtype=float)


def draw(
    ctx: Context, p: float, dtype: torch.dtype, shape: tuple[int, ...], side: str, keep: bool
) -> Units | str:
    """The units of a target."""
    x = ctx.normal(*shape).to(dtype)
    wide = x.reshape(-1).float()
    units = Units(x.numel(), {name: [] for name in ("zeros", "mean", "moment", "square")})
    if keep:
        units.bits = np.empty((UNITS, *shape), dtype=np.bool_)
    built = ctx.build(p)
    for i in range(UNITS):
        seed_all(ctx.derive("law", side, p, str(dtype), i))
        y = ctx.call(built, x.clone()).detach()
        values = y.reshape(-1).float()
        square = float(torch.dot(values, values))
        if math.isnan(square):
            return "NaN"
        units.figures["zeros"].append(x.numel() - int(torch.count_nonzero(y)))
        units.figures["mean"].append(float(values.sum()))
        units.figures["moment"].append(float(torch.dot(values, wide)))
        units.figures["square"].append(square)
        if units.bits is not None:
            units.bits[i] = (y != 0).numpy()
    return units


@dataclass(frozen=True)
class Plan:
    """What is measured of two targets, and how closely.

    Attributes:
        contexts: The targets.
        points: The p of the first target and of the second; the same but for two instances.
        looking: How their code is run.
        rate: False-alarm rate of all tests together.
    """

    contexts: tuple[Context, Context]
    points: tuple[tuple[float, float], ...]
    looking: Looking
    rate: float

    @property
    def alpha(self) -> float:
        """False-alarm rate of each test."""
        at_each_p = len(DTYPES) + 4  # rates, spread, three moments
        once = PLACES + len(LAGS) + (len(SIDES) + 1) * len(AXIS)
        return self.rate / (len(self.points) * at_each_p + once)

    def shape(self, dtype: torch.dtype) -> tuple[int, ...]:
        """Of a unit: so large that `UNITS` of them see a change of twice the level's."""
        ctx = self.contexts[0]
        rate = ctx.level.rate if dtype == torch.float32 else ctx.level.rough_rate
        size = min((shift_seen(UNITS, self.alpha) / (2 * rate)) ** 2, ctx.most / UNITS)
        samples, channels, columns = SIDES
        rows = 2 * math.ceil(size / math.prod(SIDES) / 2)
        return samples, channels, rows, columns

    @property
    def main(self) -> tuple[float, float]:
        """The point for questions not about p."""
        return (0.5, 0.5) if (0.5, 0.5) in self.points else self.points[0]


def points_of(contexts: tuple[Context, Context]) -> tuple[tuple[float, float], ...]:
    """The p at which two targets are compared: each its own where each has one."""
    a, b = (ctx.subject.fixed_p for ctx in contexts)
    if a is not None or b is not None:
        own = (b if a is None else a, a if b is None else b)
        return (own,) if all(p is not None and 0 < p < 1 for p in own) else ()  # type: ignore
    grid = {*contexts[0].spec.grid} & {*contexts[1].spec.grid}
    plain = all(ctx.spec.name == "plain" for ctx in contexts)
    return tuple((p, p) for p in sorted(grid | {HALF_P} if plain else grid))


def _at(points: tuple[float, float]) -> str:
    return "its own p" if points[0] != points[1] else f"p={points[0]:.3g}"


def compare_laws(plan: Plan) -> Iterator[Row]:
    """The rows of a comparison of laws."""
    for dtype in DTYPES:
        name = str(dtype).removeprefix("torch.")
        for points in plan.points:
            at = _at(points)
            keep = dtype == torch.float32 and points == plan.main
            a, b = (
                plan.looking.at(partial(draw, ctx, p, dtype, plan.shape(dtype), side, keep))
                for ctx, p, side in zip(plan.contexts, points, "ab", strict=True)
            )
            if isinstance(a, str) or isinstance(b, str):
                yield _unseen("law", f"rate, {name}, {at}", a, b)
                continue
            yield _rate_row(a, b, f"rate, {name}, {at}", plan, points[0])
            if dtype == torch.float32:
                yield _row(f"spread of the count, {at}", a, b, "zeros", plan, spread_p_value, _std)
                yield _row(f"mean of y, {at}", a, b, "mean", plan)
                yield _row(f"mean of x y, {at}", a, b, "moment", plan)
                yield _row(f"mean of y^2, {at}", a, b, "square", plan)
            if a.bits is not None and b.bits is not None:
                yield _places_row(a, b, plan, at)
                yield from _pair_rows(a.bits, b.bits, plan, at)


def _unseen(group: Group, aspect: str, a: Units | Kept | str, b: Units | Kept | str) -> Row:
    """Where a target gave no figures: in words why."""
    said = [seen if isinstance(seen, str) else seen.said for seen in (a, b)]
    return Row(group, aspect, said[0], said[1], said[0] != said[1], "error")


def _mean(values: Values, size: int) -> str:
    return f"{values.mean() / size:.6g}"


def _std(values: Values, size: int) -> str:
    return f"{values.std(ddof=1):.4g} of {size}"


def _row(
    aspect: str,
    a: Units,
    b: Units,
    name: str,
    plan: Plan,
    p_value: Callable[[Values, Values], float] = location_p_value,
    shown: Callable[[Values, int], str] = _mean,
) -> Row:
    chance = p_value(a[name], b[name])
    return Row(
        "law",
        aspect,
        shown(a[name], a.size),
        shown(b[name], b.size),
        chance < plan.alpha,
        "error",
        p_value=chance,
    )


def _rate_row(a: Units, b: Units, aspect: str, plan: Plan, p: float) -> Row:
    chance = location_p_value(a["zeros"], b["zeros"])
    seen = shift_seen(UNITS, plan.alpha) * math.sqrt(p * (1 - p) / a.size)
    return Row(
        "law",
        aspect,
        f"{_mean(a['zeros'], a.size)} of {UNITS * a.size}",
        _mean(b["zeros"], b.size),
        chance < plan.alpha,
        "error",
        seen,
        chance,
    )


def _worst_row(
    aspect: str, labels: Sequence[str], a: Values, b: Values, plan: Plan, sees: float
) -> Row:
    """One row of several tests; `a` and `b` hold shares, a unit a row and a test a column."""
    chances = [location_p_value(a[:, i], b[:, i]) for i in range(len(labels))]
    at = int(np.argmin(chances))
    return Row(
        "law",
        aspect,
        f"{labels[at]}: {a[:, at].mean():.6g}",
        f"{b[:, at].mean():.6g}",
        chances[at] < plan.alpha,
        "error",
        sees,
        min(1.0, chances[at] * len(labels)),
    )


def _places_row(a: Units, b: Units, plan: Plan, at: str) -> Row:
    def shares(units: Units) -> Values:
        bits = np.asarray(units.bits).reshape(UNITS, -1)
        usable = bits[:, : bits.shape[1] // PLACES * PLACES].reshape(UNITS, -1, PLACES)
        return np.asarray(1 - usable.mean(axis=1), dtype=float)

    p = plan.main[0]
    seen = shift_seen(UNITS, plan.alpha) * math.sqrt(p * (1 - p) * PLACES / a.size)
    labels = [f"places {i}" for i in range(PLACES)]
    return _worst_row(
        f"rate in places modulo {PLACES}, {at}",
        labels,
        shares(a),
        shares(b),
        plan,
        seen,
    )


def _pair_rows(a: stats.Bits, b: stats.Bits, plan: Plan, at: str) -> Iterator[Row]:
    p = plan.main[0]
    chance = stats.pairs_differ(p)
    pairs = a[0].size / 2
    sees = shift_seen(UNITS, plan.alpha) * math.sqrt(chance * (1 - chance) / pairs)
    flat = a.reshape(UNITS, -1), b.reshape(UNITS, -1)
    lags = [(1, lag) for lag in LAGS]
    yield _worst_row(
        f"pairs along memory that differ, {at}",
        [f"lag {lag}" for lag in LAGS],
        _shares(flat[0], lags),
        _shares(flat[1], lags),
        plan,
        sees,
    )
    cases = [(axis, lag) for axis in range(1, a.ndim) for lag in AXIS]
    yield _worst_row(
        f"pairs along axes that differ, {at}",
        [f"axis {axis - 1}, lag {lag}" for axis, lag in cases],
        _shares(a, cases),
        _shares(b, cases),
        plan,
        sees,
    )


def _shares(bits: stats.Bits, cases: Sequence[tuple[int, int]]) -> Values:
    """The share of pairs that differ, a unit a row, for each axis and lag."""
    return np.stack([_differing(bits, lag, axis) for axis, lag in cases], axis=1)


def _differing(bits: stats.Bits, lag: int, axis: int) -> Values:
    """The share of disjoint pairs that differ, of each unit; 0 where the axis is too short."""
    size = bits.shape[axis] // (2 * lag) * 2 * lag
    if size == 0:
        return np.zeros(len(bits))
    cut = np.moveaxis(bits, axis, -1)[..., :size].reshape(len(bits), -1, 2, lag)
    return np.asarray((cut[:, :, 0] != cut[:, :, 1]).mean(axis=(1, 2)), dtype=float)


# What is kept


@dataclass(frozen=True)
class Kept:
    """What became of a few values where they were kept: the least and the largest of each."""

    low: torch.Tensor
    high: torch.Tensor
    said: str


def kept_values(ctx: Context, p: float, dtype: torch.dtype) -> Kept | str:
    """What a target makes of values it keeps, or in words why that cannot be said."""
    copies = math.ceil(MISSED / -math.log(p))
    x = ctx.normal(KINDS).to(dtype)
    seed_all(ctx.derive("kept", p, str(dtype)))
    y = ctx.call(ctx.build(p), x.repeat(copies)).detach().reshape(copies, KINDS).double()
    if bool(torch.isnan(y).any()):
        return "NaN"
    kept = y != 0
    if not bool(kept.any(dim=0).all()):
        return "0 for some values, always"
    low = y.masked_fill(~kept, math.inf).amin(dim=0)
    high = y.masked_fill(~kept, -math.inf).amax(dim=0)
    want = exact(x, p)
    allowed = tolerance(want, p, dtype)
    if bool(((high - low) > 2 * allowed).any()):
        return "not a function of x"
    error = torch.maximum((high - want).abs(), (low - want).abs())
    if bool((error > allowed).any()):
        return Kept(low, high, f"{float((high / x.double()).mean()):.6g} x")
    return Kept(low, high, f"x / (1 - p) to {float((error / ulp(want, dtype)).max()):.2g} ulp")


def compare_kept(plan: Plan) -> Iterator[Row]:
    """The rows for the scale: the same but for the rounding that `kept-scale` allows."""
    for dtype in DTYPES:
        name = str(dtype).removeprefix("torch.")
        for points in plan.points:
            aspect = f"kept values, {name}, {_at(points)}"
            a, b = (
                plan.looking.at(partial(kept_values, ctx, p, dtype))
                for ctx, p in zip(plan.contexts, points, strict=True)
            )
            if isinstance(a, str) or isinstance(b, str):
                yield _unseen("policy", aspect, a, b)
                continue
            apart = torch.maximum((a.high - b.low).abs(), (b.high - a.low).abs())
            allowed = tolerance(torch.maximum(a.high.abs(), b.high.abs()), points[0], dtype)
            yield Row("policy", aspect, a.said, b.said, bool((apart > allowed).any()), "error")
