"""Scale: kept values are x / (1 - p)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch

from ..context import Context, Fault, Seen, check
from ..rounding import ULPS
from ._reading import UNSCALED, split

# Scales that were seen in place of 1 / (1 - p).
_LAWS: Mapping[str, Callable[[float], float]] = {
    UNSCALED: lambda p: 1.0,
    "; the scale is 1 / p": lambda p: 1 / p,
    "; the scale is 1 - p": lambda p: 1 - p,
    "; the scale is p": lambda p: p,
    "; the scale is 1 / (1 - p)^2": lambda p: (1 - p) ** -2.0,
    "; the scale is 1 / sqrt(1 - p)": lambda p: (1 - p) ** -0.5,
}


@check(needs=["output-shape"])
def kept_scale(ctx: Context) -> Seen:
    """Every value is 0 or x / (1 - p), to 3 units in the last place.

    Measured: float32 values of both signs at every p of the grid, against the quotient in float64.
    Dividing by 1 - p, multiplying by 1 / (1 - p), and a mask that contains the rounded scale all
    stay within 3 ulp.

    No scale, the scale 1/p (p mistaken for the keep probability: apex#816, theanets#123), or a
    scale computed from the number that happened to be kept trains a network that differs from the
    evaluated one.

    To fix: `torch.where(dropped, 0, x / (1 - p))`.
    """
    errors = {}
    for p in ctx.grid:
        x = ctx.normal(ctx.draws(1 << 16))
        try:
            _, errors[p] = split(x, ctx.call(ctx.build(p), x.clone()), p)
        except Fault as fault:
            raise _with_the_scale(ctx, p, fault) from None
        if ctx.subject.has_gradient:
            recorded = x[:256].clone().requires_grad_()
            split(
                x[:256],
                ctx.call(ctx.build(p), recorded.clone()),
                p,
                "an x that requires a gradient",
            )
    most = max(errors, key=lambda p: errors[p])
    return Seen(
        f"at most {errors[most]:.2g} ulp, at p={most:.3g}",
        {"ulps": {f"{p:.6g}": error for p, error in errors.items()}, "allowed_ulps": ULPS},
    )


def _with_the_scale(ctx: Context, p: float, fault: Fault) -> Fault:
    """The finding with the scale that the target has, if it is one at each p, for later checks."""
    scales = {each: scale for each in ctx.grid if (scale := ctx.one_scale(each)) is not None}
    if p not in scales:
        return fault
    ctx.known.scales.update(scales)
    laws = (law for law, of in _LAWS.items() if _all_close(scales, of))
    said = next(laws, f"; the scale is {scales[p]:.7g}")
    return Fault(fault.message.removesuffix(UNSCALED) + said, **fault.figures)


def _all_close(scales: Mapping[float, float], law: Callable[[float], float]) -> bool:
    return all(math.isclose(scale, law(p), rel_tol=1e-5) for p, scale in scales.items())


@check(needs=["kept-scale"])
def scale_constant(ctx: Context) -> Seen:
    """The scale does not depend on the shape, on the call or on what else was dropped.

    Measured: inputs of 1, 2, 3, 7, 64 and 1025 elements, twenty calls each, a 3-D one, and one of a
    million elements.

    Dividing by the fraction that was kept instead of by 1 - p is right on average for large inputs
    and wrong for small ones: it makes the scale random and the elements of a call dependent.

    To fix: compute the scale from p alone.
    """
    built = ctx.build(ctx.main_p)
    shapes = ((1,), (2,), (3,), (7,), (64,), (1025,), (3, 5, 4))
    kept = 0
    for shape in shapes:
        x = ctx.normal(*shape)
        for _ in range(20):
            places, _ = split(x, ctx.call(built, x.clone()), built.p, f"shape {shape}")
            kept += int(torch.count_nonzero(places))
    x = ctx.normal(ctx.chunk)
    places, _ = split(x, ctx.call(built, x.clone()), built.p, f"shape {tuple(x.shape)}")
    kept += int(torch.count_nonzero(places))
    return Seen(f"x / (1 - p) in calls of 1 to {ctx.chunk} elements, {kept} values kept")
