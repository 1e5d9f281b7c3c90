"""Compares two targets' distributions by two-sample tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from .. import stats
from ..checks.dtype import DTYPES
from ..context import Context, seed_all
from .plan import AXIS, LAGS, PLACES, UNITS, SamplePlan, label_of, unmeasured
from .results import Row
from .two_sample import Values, location_p_value, shift_seen, spread_p_value


@dataclass
class Units:
    """The statistics of the units of one target at one p and dtype.

    Attributes:
        size: Elements of a unit.
        figures: The statistics by name, one value per unit.
        bits: Which elements were not zero, where requested; one row per unit.
    """

    size: int
    figures: dict[str, list[float]] = field(default_factory=dict)
    bits: stats.Bits | None = None

    @property
    def said(self) -> str:
        """The description for a row in which the other target has no units."""
        return f"{self['zeros'].mean() / self.size:.6g}"

    def __getitem__(self, name: str) -> Values:
        return np.asarray(self.figures[name], dtype=float)


def draw(
    ctx: Context, p: float, dtype: torch.dtype, shape: tuple[int, ...], side: str, keep: bool
) -> Units | str:
    """Draw the units of a target."""
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


def compare_distributions(plan: SamplePlan) -> Iterator[Row]:
    """Compare rates, spreads, moments, places and pairs: one row each."""
    for dtype in DTYPES:
        name = str(dtype).removeprefix("torch.")
        for points in plan.points:
            at = label_of(points)
            keep = dtype == torch.float32 and points == plan.main
            a, b = (
                plan.observer.observe(partial(draw, ctx, p, dtype, plan.shape(dtype), side, keep))
                for ctx, p, side in zip(plan.contexts, points, "ab", strict=True)
            )
            if isinstance(a, str) or isinstance(b, str):
                yield unmeasured("law", f"rate, {name}, {at}", a, b)
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


def _mean(values: Values, size: int) -> str:
    return f"{values.mean() / size:.6g}"


def _std(values: Values, size: int) -> str:
    return f"{values.std(ddof=1):.4g} of {size}"


def _row(
    aspect: str,
    a: Units,
    b: Units,
    name: str,
    plan: SamplePlan,
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


def _rate_row(a: Units, b: Units, aspect: str, plan: SamplePlan, p: float) -> Row:
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
    aspect: str, labels: Sequence[str], a: Values, b: Values, plan: SamplePlan, sees: float
) -> Row:
    """One row for several tests: `a` and `b` hold fractions by unit (rows) and test (columns)."""
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


def _places_row(a: Units, b: Units, plan: SamplePlan, at: str) -> Row:
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


def _pair_rows(a: stats.Bits, b: stats.Bits, plan: SamplePlan, at: str) -> Iterator[Row]:
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
    """The fraction of pairs that differ for each axis and lag, a row per unit."""
    return np.stack([_differing(bits, lag, axis) for axis, lag in cases], axis=1)


def _differing(bits: stats.Bits, lag: int, axis: int) -> Values:
    """The fraction of disjoint pairs that differ in each unit; 0 if the axis is too short."""
    size = bits.shape[axis] // (2 * lag) * 2 * lag
    if size == 0:
        return np.zeros(len(bits))
    cut = np.moveaxis(bits, axis, -1)[..., :size].reshape(len(bits), -1, 2, lag)
    return np.asarray((cut[:, :, 0] != cut[:, :, 1]).mean(axis=(1, 2)), dtype=float)
