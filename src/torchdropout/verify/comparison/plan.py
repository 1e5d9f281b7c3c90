"""The samples of two targets: at which p, in which shapes, at which significance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch

from ..checks.dtype import DTYPES
from ..context import Context
from .observe import Observer
from .results import Group, Row
from .two_sample import shift_seen

UNITS = 256
# In addition to the grid of the checks: half precision fails here.
HALF_P = 0.99
PLACES = 16
LAGS = (1, 2, 3, 4, 8, 16, 32)
AXIS = (1, 2)
# Samples, channels and columns of a unit; it has as many rows as are needed.
SIDES = (4, 16, 16)


@dataclass(frozen=True)
class SamplePlan:
    """The measurements of two targets, and how precise they are.

    Attributes:
        contexts: The targets.
        points: The p of the first target and of the second; equal except for two instances.
        observer: How their code is run.
        rate: False-alarm rate of all tests together.
    """

    contexts: tuple[Context, Context]
    points: tuple[tuple[float, float], ...]
    observer: Observer
    rate: float

    @property
    def alpha(self) -> float:
        """False-alarm rate of each test."""
        at_each_p = len(DTYPES) + 4  # rates, spread, three moments
        once = PLACES + len(LAGS) + (len(SIDES) + 1) * len(AXIS)
        return self.rate / (len(self.points) * at_each_p + once)

    def shape(self, dtype: torch.dtype) -> tuple[int, ...]:
        """The shape of a unit: large enough that `UNITS` of them find twice the level's change."""
        ctx = self.contexts[0]
        rate = ctx.level.rate if dtype == torch.float32 else ctx.level.rough_rate
        size = min((shift_seen(UNITS, self.alpha) / (2 * rate)) ** 2, ctx.most / UNITS)
        samples, channels, columns = SIDES
        rows = 2 * math.ceil(size / math.prod(SIDES) / 2)
        return samples, channels, rows, columns

    @property
    def main(self) -> tuple[float, float]:
        """The point for questions that are not about p."""
        return (0.5, 0.5) if (0.5, 0.5) in self.points else self.points[0]


def points_of(contexts: tuple[Context, Context]) -> tuple[tuple[float, float], ...]:
    """The p at which two targets are compared: each at its own if each has one."""
    a, b = (ctx.subject.fixed_p for ctx in contexts)
    if a is not None or b is not None:
        own = (b if a is None else a, a if b is None else b)
        return (own,) if all(p is not None and 0 < p < 1 for p in own) else ()  # type: ignore
    grid = {*contexts[0].spec.grid} & {*contexts[1].spec.grid}
    plain = all(ctx.spec.name == "plain" for ctx in contexts)
    return tuple((p, p) for p in sorted(grid | {HALF_P} if plain else grid))


def label_of(points: tuple[float, float]) -> str:
    """How the aspect of a row names the p of the two targets."""
    return "its own p" if points[0] != points[1] else f"p={points[0]:.3g}"


class Described(Protocol):
    """A measurement that can be described in a few words."""

    @property
    def said(self) -> str:
        """The description."""


def unmeasured(group: Group, aspect: str, a: Described | str, b: Described | str) -> Row:
    """The row for two targets if at least one returned, in words, why it has no figures."""
    said = [seen if isinstance(seen, str) else seen.said for seen in (a, b)]
    return Row(group, aspect, said[0], said[1], said[0] != said[1], "error")
