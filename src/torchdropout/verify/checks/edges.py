"""Edges: p of 0 and 1, and inputs with no elements, one or few."""

from __future__ import annotations

import math

import torch

from ..context import Context, Fault, Seen, Skip, check, outcome
from ..stats import POWER, smallest_seen
from ._reading import gradients, same_values, split

TINY: tuple[tuple[int, ...], ...] = ((), (1,), (1, 1, 1))
_MOST_CALLS = 1 << 16  # one per value: the calls are the cost, not the elements


def _need_p(ctx: Context, p: float) -> None:
    fixed = ctx.subject.fixed_p
    if fixed is not None and fixed != p:
        raise Skip(f"the target has p={fixed:g}")


@check(needs=["output-shape"])
def p_zero_identity(ctx: Context) -> Seen:
    """At p=0 training changes nothing.

    Measured: millions of values in training at p=0, bit for bit.

    `rand > p` drops the values for which the uniform number is exactly 0, one in 2^24; 8-bit
    thresholds may drop one in 256 at p=0 (pytorch#151717). People set p=0 to switch dropout off.

    To fix: drop where `rand < p`, or return x at once when p is 0.
    """
    _need_p(ctx, 0.0)
    built = ctx.build(0.0)
    total = min(ctx.level.zeros, ctx.most)
    size = min(ctx.chunk, total)
    for start in range(0, total, size):
        x = ctx.normal(size)
        y = ctx.call(built, x.clone())
        if not same_values(y.detach(), x):
            changed = int((y.detach().double() != x.double()).sum())
            zeros = int((y.detach() == 0).sum())
            raise Fault(
                f"p=0: training changed {changed} of {size} values, of which {zeros} became 0"
                + (f"; it left the {start} before as they were" if start else ""),
                changed=changed,
                zeros=zeros,
            )
    seen = math.log(1 / (1 - POWER)) / total
    return Seen(f"y is x, {total} values", {}, f"a drop rate of {seen:.2g}")


@check(needs=["output-shape"])
def p_one_zeros(ctx: Context) -> Seen:
    """At p=1 the output is all zeros.

    Measured: 4096 values in training at p=1.

    The scale 1 / (1 - p) is infinite at p=1, and 0 * inf is NaN; other libraries raise
    ZeroDivisionError (Keras' AlphaDropout) or give NaN (fastai's locked dropout, and
    `JustDropoutModelImpl` in examples/notebook_models.py). A schedule or a search that
    reaches p=1 must not destroy the weights.

    To fix: return `torch.zeros_like(x)` when p is 1, or select with `torch.where` instead of
    multiplying.
    """
    _need_p(ctx, 1.0)
    x = ctx.normal(ctx.draws(4096))
    y = ctx.call(ctx.build(1.0), x.clone()).detach()
    nan = int(torch.isnan(y).sum())
    other = int((y != 0).sum()) - nan
    if nan:
        raise Fault(f"p=1: {nan} of {y.numel()} values are NaN, expected 0", nan=nan, other=other)
    if other:
        raise Fault(f"p=1: {other} of {y.numel()} values are not 0", nan=0, other=other)
    return Seen(f"all zeros, {x.numel()} values")


@check(needs=["output-shape"])
def edge_gradients(ctx: Context) -> Seen:
    """At p=1 the gradient is all zeros, at p=0 it is the incoming gradient.

    Measured: gradients of 4096 values at both.

    Equinox's `Dropout(1.0)` has a correct output and a NaN gradient: a `where` that selects between
    0 and x * inf still differentiates the branch it did not take.

    To fix: keep the infinite scale out of the graph: set it to 0 at p=1, or return early.
    """
    fixed = ctx.subject.fixed_p
    ctx.need_gradient()
    edges = [p for p in (0.0, 1.0) if fixed is None or fixed == p]
    if not edges:
        raise Skip(f"the target has p={fixed:g}")
    size = ctx.draws(4096)
    x, upstream = ctx.normal(size), ctx.normal(size + 1)[1:]
    for p in edges:
        leaf = x.clone().requires_grad_()
        y = ctx.call(ctx.build(p), leaf.clone())
        if p == 1 and not y.requires_grad:
            continue  # A constant zero has the gradient zero.
        (grad,) = gradients(y, [leaf], upstream.to(y.dtype))
        wrong = grad != (torch.zeros_like(x) if p == 1 else upstream)
        if bool(wrong.any()):
            nan = int(torch.isnan(grad).sum())
            raise Fault(
                f"p={p:g}: {int(wrong.sum())} of {x.numel()} gradients are wrong"
                + (f", {nan} are NaN" if nan else "")
                + (", expected 0" if p == 1 else ", expected the incoming gradient"),
                p=p,
                wrong=int(wrong.sum()),
                nan=nan,
            )
    return Seen("right at p=" + " and ".join(f"{p:g}" for p in edges))


@check(needs=["output-shape"])
def empty_input(ctx: Context) -> Seen:
    """An input without elements gives an output without elements.

    Measured: shapes (0,), (3, 0, 2) and (0, 5), in training and eval.

    Empty batches are normal at the end of an epoch, in routing and in detection. Code that
    divides by the number of elements, or takes the largest, fails there.

    To fix: accept any shape, as elementwise torch operations do.
    """
    built = ctx.build(ctx.main_p)
    for shape in ((0,), (3, 0, 2), (0, 5)):
        for training in ctx.modes:
            ctx.call(built, torch.ones(shape), training)
    return Seen("shapes (0,), (3, 0, 2), (0, 5)")


@check(needs=["kept-scale", "drop-rate"], statistical=True)
def tiny_input(ctx: Context) -> Seen:
    """Inputs of one element, including 0-d ones, are dropped and scaled like any other.

    Measured: many calls on shapes (), (1,) and (1, 1, 1): each value is 0 or x / (1 - p), and the
    number of drops passes an exact binomial test.

    Indexing x[0], looping over x or a vector path for eight elements at a time may each treat an
    input with one element differently.

    To fix: use elementwise operations on the whole tensor, whatever its shape.
    """
    p = ctx.sound_p
    family = ctx.family(len(TINY))
    change = 20 * ctx.level.rough_rate * math.sqrt(p * (1 - p))
    n = min(ctx.size(p, change, family.each), _MOST_CALLS)
    built = ctx.build(p)
    for shape in TINY:
        x = torch.full(shape, -1.5)
        y = torch.stack([ctx.call(built, x.clone()).detach() for _ in range(n)])
        kept, _ = split(x.expand(y.shape), y, p, f"shape {shape}")
        family.binomial(f"shape {shape}", n - int(kept.sum()), n, p)
    return outcome(
        family,
        lambda t: f"p={p:g}, {t.label}: {t.rate:.4g} of {t.n} dropped",
        f"a rate error of {smallest_seen(n, p, family.each):.2g}",
    )
