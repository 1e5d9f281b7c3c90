"""Compares the values that two targets keep."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch

from ..checks.dtype import DTYPES
from ..context import Context, seed_all
from ..rounding import exact, tolerance, ulp
from .plan import SamplePlan, label_of, unmeasured
from .results import Row

# The number of values whose scale is measured, each in enough copies that one is kept except with
# probability e^-30.
KINDS = 64
MISSED = 30.0


@dataclass(frozen=True)
class KeptRange:
    """The smallest and the largest output for each of a few values, where it was kept."""

    low: torch.Tensor
    high: torch.Tensor
    said: str


def kept_values(ctx: Context, p: float, dtype: torch.dtype) -> KeptRange | str:
    """Return the outputs of a target for kept values, or in words why they cannot be measured."""
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
        return KeptRange(low, high, f"{float((high / x.double()).mean()):.6g} x")
    return KeptRange(low, high, f"x / (1 - p) to {float((error / ulp(want, dtype)).max()):.2g} ulp")


def compare_kept(plan: SamplePlan) -> Iterator[Row]:
    """Compare the scale: equal up to the rounding that `kept-scale` allows."""
    for dtype in DTYPES:
        name = str(dtype).removeprefix("torch.")
        for points in plan.points:
            aspect = f"kept values, {name}, {label_of(points)}"
            a, b = (
                plan.observer.observe(partial(kept_values, ctx, p, dtype))
                for ctx, p in zip(plan.contexts, points, strict=True)
            )
            if isinstance(a, str) or isinstance(b, str):
                yield unmeasured("policy", aspect, a, b)
                continue
            apart = torch.maximum((a.high - b.low).abs(), (b.high - a.low).abs())
            allowed = tolerance(torch.maximum(a.high.abs(), b.high.abs()), points[0], dtype)
            yield Row("policy", aspect, a.said, b.said, bool((apart > allowed).any()), "error")
