"""The target in a condition, and a claim in all conditions of a design."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ... import conditions as of
from ...conditions import Condition
from ...context import Context, Fault, Skip
from ...specs import Between, Fused
from ...specs.elementwise import Elementwise
from ...subject import Built, Spec

# An input of fewer elements does not tell neighbours from the last ones.
FEW = 24
# Nearer to 0 or 1 a place has the same draw in most calls; comparing two takes thousands of calls.
FAR = 0.05
# For kinds whose input the verifier makes, every claim is about draws in a row.
MADE: tuple[tuple[int, ...], ...] = ((131,), (1,), (67, 3))
# The chance that a place is dropped in all calls of a condition, so that a fault there is missed.
MISSED = 0.1


def is_own(spec: Spec) -> bool:
    """Whether the target gets x itself, and not an input made of it."""
    return type(spec) is Spec or isinstance(spec, (Elementwise, Fused, Between))


def factors_of(ctx: Context, *names: str, draws: bool = False) -> dict[str, Sequence[Any]]:
    """The levels of the factors for this target; p and the shape are always among them."""
    spec, own = ctx.spec, is_own(ctx.spec)
    levels: dict[str, Sequence[Any]] = {
        "p": of.p_of(spec, ctx.subject.fixed_p, draws),
        "shape": of.shapes_of(spec) if own else MADE,
        "layout": of.LAYOUTS if own else of.LAYOUTS[:1],
        "incoming": of.LAYOUTS if own else of.LAYOUTS[:1],
        "dtype": of.DTYPES if not {"dtype-scale", "dtype-gradient"} & spec.exempt.keys() else (),
        # Other targets include a matrix product, whose dtype autocast changes.
        "mode": tuple(of.MODES) if own else tuple(of.MODES)[:3],
        "derivative": of.DERIVATIVES if own else of.DERIVATIVES[:1],
        "before": [h for h in of.BEFORE if "eval" not in h or ctx.subject.has_eval],
    }
    levels = _possible(levels)
    levels["dtype"] = levels["dtype"] or of.DTYPES[:1]
    if len(levels["dtype"]) == 1:
        levels["before"] = [h for h in levels["before"] if "float64" not in h]
    return {name: levels[name] for name in ("p", "shape", *names)}


def need_random(ctx: Context) -> None:
    """Skip an instance whose p is 0 or 1."""
    if ctx.subject.fixed_p is not None and not 0 < ctx.subject.fixed_p < 1:
        raise Skip(f"the instance has p={ctx.subject.fixed_p:g}: nothing is random")


def call_own(ctx: Context, built: Built, x: torch.Tensor, training: bool = True) -> torch.Tensor:
    """Call the target on x itself, and read the output as a plain dropout."""
    y = call_raw(ctx, built, x, training)
    if isinstance(ctx.spec, Elementwise) and training:
        return ctx.spec.effect.decode(x, y, built.p)
    return y


def call_raw(ctx: Context, built: Built, x: torch.Tensor, training: bool = True) -> torch.Tensor:
    own = built.target if isinstance(ctx.spec, Elementwise) else built
    return ctx.call(own, x, training)


def prepared(ctx: Context, condition: Condition, shapes: Sequence[tuple[int, ...]]) -> Built:
    """The target, after the call that the condition names."""
    built, before = ctx.build(condition.p), condition.before
    if "wrong" in before:
        _call_wrongly(built)
    elif before != "nothing":
        size = min if "smaller" in before else max
        shape = size(shapes, key=lambda s: (math.prod(s), s))
        if "larger" in before:
            shape = (2 * shape[0] + 1, *shape[1:])
        dtype = torch.float64 if "float64" in before else torch.float32
        call_own(ctx, built, ctx.normal(*shape).to(dtype), "eval" not in before)
    return built


def _call_wrongly(built: Built) -> None:
    """Call the target on invalid inputs: it may refuse them at once, later, or not at all."""
    eighths = torch.ones(3).to(torch.float8_e4m3fn)  # a tensor that few operations accept
    for wrong in (None, np.ones(3, np.float32), eighths):
        with contextlib.suppress(Exception):
            built.target.call(wrong, True)


def repeats(ctx: Context, p: float) -> int:
    """The calls after which any one place, wrong only where kept, has been kept at least once.

    At p up to 0.9, with a probability of 9 in 10; one call at quick.
    """
    if ctx.level.is_quick or not 0 < p <= 0.9:
        return 1
    return math.ceil(math.log(MISSED) / math.log(p))


def everywhere(
    ctx: Context,
    factors: Mapping[str, Sequence[Any]],
    claim: Callable[[Condition], object],
    conditions: Sequence[Condition] = (),
) -> tuple[Sequence[Condition], int]:
    """Test a claim in all conditions of a design; a fault says what the failing ones share."""
    conditions = conditions or designed(ctx, factors, ctx.level.strength)
    failed: list[tuple[Condition, Fault]] = []
    refused = 0
    for condition in conditions:
        try:
            with ctx.seeded("condition", str(condition)):
                claim(condition)
        except Fault as fault:
            failed.append((condition, fault))
        except Skip:
            refused += 1
    if failed:
        condition, first = failed[0]
        raise Fault(
            f"{condition}: {first.message}; {len(failed)} of {len(conditions)} conditions fail"
            + _in_common(factors, [c for c, _ in failed]),
            **{**first.figures, "failed": [str(c) for c, _ in failed[:8]]},
        )
    return conditions, refused


def designed(ctx: Context, factors: Mapping[str, Sequence[Any]], strength: int) -> list[Condition]:
    """Conditions in which nothing hides a fault, and others for each level that hides some.

    An input of one element hides faults of neighbours, a p near 0 those of the scale, and near 1
    hardly anything is kept. Such a level would waste the combinations that it occurs in, so
    that each has a design of its own.
    """
    seed = ctx.derive("conditions", *factors)
    telling: dict[str, Callable[[Any], bool]] = {
        "p": lambda p: FAR <= p <= 1 - FAR,
        "shape": lambda shape: math.prod(shape) >= FEW,
    }
    ordinary = dict(factors)
    for name, tells in telling.items():
        ordinary[name] = [level for level in factors[name] if tells(level)] or factors[name]
    found = of.design(ordinary, strength, seed)
    for name in telling:
        for level in factors[name]:
            if level not in ordinary[name]:
                given = _possible({**ordinary, name: [level]})
                found += of.design(given, max(1, strength - 1), seed)
    return found


def _possible(factors: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Leave out the layouts that none of the shapes can have."""
    left = dict(factors)
    for name in {"layout", "incoming"} & left.keys():
        left[name] = [at for at in left[name] if any(of.fits(at, s) for s in left["shape"])]
    return left


def _in_common(factors: Mapping[str, Sequence[Any]], failed: Sequence[Condition]) -> str:
    first, *others = failed
    if not others:
        return ""
    common = [
        of.say(name, first.levels[name])
        for name, levels in factors.items()
        if len(levels) > 1 and all(c.levels[name] == first.levels[name] for c in others)
    ]
    return f", all with {' and '.join(common)}" if common else ""


def summed(conditions: Sequence[Condition], refused: int, factors: Mapping[str, Any]) -> str:
    named = ", ".join(name for name, levels in factors.items() if len(levels) > 1)
    left = f"; {refused} refused by the target" if refused else ""
    return f"{len(conditions)} conditions of {named}{left}"
