"""Compiled: the target compiled by `torch.compile` is the same dropout."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..compiling import Tracer, patient
from ..context import Context, Fault, Seen, Skip, check, describe, outcome
from ..specs import Weights
from ..stats import smallest_seen
from ..subject import Built
from ._reading import split

SIZE = 1 << 16


@check(needs=["grad-mask", "grad-scale", "drop-rate"], statistical=True)
def compiled_law(ctx: Context) -> Seen:
    """When `torch.compile` traces the target, it drops, scales and differentiates as before.

    Measured: the compiled target (backend `aot_eager`, which traces and does not generate code) in
    training: calls differ, values and gradients are 0 or scaled, and the number of drops is exactly
    binomial. `--compile` runs all checks on generated code.

    Code that asks whether it is compiled, a mask made while tracing, or a seed read as a number
    becomes a constant of the graph: the mask of the first call is used forever (pytorch#192635,
    pytorch#174078).

    To fix: draw with torch operations inside `forward`; keep numbers that change in tensors.
    """
    if not ctx.level.compiled:
        raise Skip(f"not compiled at level {ctx.level.name}: compiling takes seconds")
    ctx.need_gradient()
    p = ctx.sound_p
    compiled, tracer = _compiled(ctx, p)
    x = ctx.normal(max(SIZE // ctx.spec.cost, ctx.telling_size(p)))
    # A p that is not a multiple of 1/256 reveals a threshold that compiling has rounded.
    odd = [q for q in (1 / 300,) if q in ctx.grid and q not in ctx.known.bad_rates]
    family = ctx.family(1 + len(odd))
    kept, calls = 0, 4
    masks: list[torch.Tensor] = []
    for _ in range(calls):
        leaf = x.clone().requires_grad_()
        try:
            with patient():
                y = ctx.spec.call(compiled, leaf.clone(), True)
        except (Fault, Skip):
            raise
        except Exception as error:
            raise Skip(f"torch.compile raised {describe(error)}") from error
        if not isinstance(y, torch.Tensor) or y.shape != x.shape:
            raise Fault("compiled: the output has another type or shape")
        mask, _ = split(x, y, p, "compiled")
        upstream = ctx.normal(x.numel() + 1)[1:]
        (grad,) = torch.autograd.grad(y, leaf, upstream)
        of_gradient, _ = split(upstream, grad, p, "compiled, gradient")
        differ = int((of_gradient != mask).sum())
        if differ:
            raise Fault(f"compiled: the gradient has a different mask from y at {differ} places")
        if any(torch.equal(mask, earlier) for earlier in masks):
            raise Fault("compiled: two calls had the same mask")
        masks.append(mask)
        kept += int(mask.sum())
    n = calls * x.numel()
    family.binomial(f"p={p:g}", n - kept, n, p)
    for q in odd:
        ones = torch.ones(ctx.chunk)
        with patient():
            y = ctx.spec.call(_compiled(ctx, q)[0], ones.clone(), True)
        family.binomial(f"p={q:.3g}", int((y == 0).sum()), len(ones), *ctx.null_rate(q))
    seen = outcome(
        family,
        lambda t: f"{t.label}, compiled: {t.rate:.5g} of {t.n} dropped",
        f"a rate error of {smallest_seen(n, p, family.each):.2g} at p={p:g}",
    )
    if not tracer.graphs:  # only now: a target that is the identity when compiled has none either
        raise Skip("torch.compile leaves the target as it is")
    return seen


def _compiled(ctx: Context, p: float) -> tuple[Built, Tracer]:
    """The target compiled by itself: the verifier's view of it would take long to trace."""
    raw, tracer = ctx.build(p).target, Tracer()
    if isinstance(ctx.spec, Weights) and raw.module is not None:  # it is called with its weights
        raw.module.compile(backend=tracer)
        return raw, tracer
    return replace(raw, call=torch.compile(raw.call, backend=tracer)), tracer
