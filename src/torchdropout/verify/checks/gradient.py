"""Gradient: the backward pass uses the mask and the scale of the forward pass."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..context import Context, Fault, Seen, check, outcome
from ..rounding import exact, tolerance
from ..stats import smallest_seen
from ..subject import Built
from ._module import OTHER_P, rates_held, set_rates
from ._reading import gradients, refusal, split

SIZE = 1 << 14


def _forward(ctx: Context, built: Built, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a leaf with the values of x, and the output for a copy of it.

    The copy allows a target to write into its input, which `input-unmodified` reports.
    """
    ctx.need_gradient()
    leaf = x.clone().requires_grad_()
    return leaf, ctx.call(built, leaf.clone())


def _backward(y: torch.Tensor, leaf: torch.Tensor, upstream: torch.Tensor) -> torch.Tensor:
    (grad,) = gradients(y, [leaf], upstream.to(y.dtype))
    return grad


def _upstream(ctx: Context, x: torch.Tensor) -> torch.Tensor:
    """An incoming gradient that is not constant, has no zeros and does not depend on x."""
    return ctx.normal(x.numel() + 1)[1:].reshape(x.shape)


@check(needs=["kept-scale", "train-stochastic"])
def grad_mask(ctx: Context) -> Seen:
    """The gradient is zero exactly where the forward pass dropped.

    Measured: zeros of y against zeros of the gradient, on values of both signs, at every p; and
    whether the backward pass changes the incoming gradient.

    A mask that is drawn anew in the backward pass, by a recomputation that did not restore the
    generator (pytorch#190717, pytorch#190758, OLMo-core#828, guided-diffusion#167), gives the
    gradients of a different function, and no error. A backward that masks the incoming gradient in
    place changes it for the other branches that get the same tensor.

    To fix: save the mask, or its seed and offset, and use them in backward; compute there on a new
    tensor (`g * mask`, not `g.mul_(mask)`).
    """
    picture = {}
    for p in ctx.grid:
        x = ctx.normal(ctx.draws(SIZE))
        leaf, y = _forward(ctx, ctx.build(p), x)
        grad = _backward(y, leaf, _upstream(ctx, x))
        differ = int(((y.detach() == 0) != (grad == 0)).sum())
        if differ:
            raise Fault(
                f"p={p:g}: {differ} of {x.numel()} places are zero in y or in the gradient, "
                "not in both",
                p=p,
                differ=differ,
                n=x.numel(),
            )
        if p == ctx.main_p:
            picture = {"forward": _picture(y), "gradient": _picture(grad)}
    return Seen(f"zero where y is, {x.numel()} places at each p", {"picture": picture})


def _picture(y: torch.Tensor) -> list[str]:
    """The first places, for a reader to compare: 1 where y is not zero."""
    shown = (y.detach().reshape(-1)[:256] != 0).reshape(16, 16)
    return ["".join("1" if kept else "0" for kept in row) for row in shown.tolist()]


@check(needs=["grad-mask"])
def grad_scale(ctx: Context) -> Seen:
    """The gradient of a kept element is the incoming gradient / (1 - p).

    Measured: in ulps of float32, with an incoming gradient that is not constant, at every p, and
    with expanded and transposed incoming gradients, as `y.sum()` and a transposed product produce.

    A custom backward that scales by p or 1 - p, or that does not scale, changes the learning rate
    of all layers below it, as in theanets#123 and numpy-ml#94.

    To fix: in backward apply the forward function, with the same mask, to the incoming gradient.
    """
    most = 0.0
    for p in ctx.grid:
        x = ctx.normal(ctx.draws(SIZE))
        leaf, y = _forward(ctx, ctx.build(p), x)
        upstream = _upstream(ctx, x)
        _, ulps = split(upstream, _backward(y, leaf, upstream), p, "gradient")
        most = max(most, ulps)
    built = ctx.build(ctx.main_p)
    for name, upstream in _strided_upstreams(ctx).items():
        leaf, y = _forward(ctx, built, ctx.normal(*upstream.shape))
        split(upstream, _backward(y, leaf, upstream), built.p, f"gradient from {name} one")
    return Seen(f"incoming gradient / (1 - p), at most {most:.2g} ulp", {"ulps": most})


def _strided_upstreams(ctx: Context) -> dict[str, torch.Tensor]:
    return {
        "an expanded": ctx.normal(1).expand(24, 20),
        "an expanded, along one axis,": ctx.normal(20).expand(24, 20),
        "a transposed": ctx.normal(20, 24).T,
    }


@check(needs=["grad-mask"], statistical=True)
def grad_at_zero(ctx: Context) -> Seen:
    """Where x is zero, the gradient is still dropped with probability p.

    Measured: the number of zero gradients where x is 0.0 or -0.0, by an exact binomial test.

    After a ReLU half of x is zero. A backward that treats y == 0 as "dropped" loses the gradient
    of all kept zeros; one that multiplies by y / x makes it NaN. Random test inputs contain no
    zeros, so the usual gradient tests pass.

    To fix: keep the mask; do not infer it from the output.
    """
    p = ctx.main_p
    family = ctx.family(1)
    n = ctx.size(p, ctx.level.rough_rate * (p * (1 - p)) ** 0.5, family.each)
    x = ctx.normal(2 * n)
    x[::4] = 0.0
    x[2::4] = -0.0
    leaf, y = _forward(ctx, ctx.build(p), x)
    upstream = _upstream(ctx, x)
    grad = _backward(y, leaf, upstream)[::2]
    upstream = upstream[::2]
    zero = grad == 0
    right = zero | (
        (grad.double() - exact(upstream, p)).abs() <= tolerance(exact(upstream, p), p, x.dtype)
    )
    if not bool(right.all()):
        raise Fault(
            f"p={p:g}: at x = 0, {int((~right).sum())} of {n} gradients are neither 0 nor the "
            "incoming gradient / (1 - p)",
            p=p,
        )
    family.binomial(f"p={p:g}, x = 0", int(zero.sum()), n, *ctx.null_rate(p))
    return outcome(
        family,
        lambda t: f"{t.label}: {t.rate:.4g} of {t.n} gradients are zero",
        f"a rate error of {smallest_seen(n, p, family.each):.2g}",
    )


@check(needs=["grad-mask"])
def grad_finite(ctx: Context) -> Seen:
    """Finite values have finite gradients, whatever their size and sign.

    Measured: gradients at 0, -0, and values from 1e-38 to 1e37 of both signs.

    A backward that divides by x, or by a size of x that overflows, or that takes the logarithm of
    the mask gives NaN where x is zero or extreme, and one NaN ruins a training run.

    To fix: leave x out of the backward pass; the gradient does not depend on it.
    """
    p = ctx.main_p
    values = torch.tensor([0.0, 1e-38, 1e-20, 1e-3, 1.0, 1e3, 1e20, 1e37])
    x = torch.cat([values, -values]).repeat(64)
    leaf, y = _forward(ctx, ctx.build(p), x)
    grad = _backward(y, leaf, torch.ones_like(x))
    wrong = ~torch.isfinite(grad)
    if bool(wrong.any()):
        at = float(x[wrong][0])
        raise Fault(
            f"p={p:g}: {int(wrong.sum())} of {x.numel()} gradients are not finite, the first at "
            f"x={at:g}",
            p=p,
            x=at,
        )
    return Seen("finite from x = -1e37 to 1e37, zeros included")


@check(needs=["grad-mask"])
def grad_own_call(ctx: Context) -> Seen:
    """A gradient has the mask of its own forward pass, whatever happened after that.

    Measured: two calls of one object, then both gradients, first call first; a gradient taken
    twice; two calls on one tensor with one backward; and a gradient after a module was put into
    eval and got another p.

    A module that stores its mask on itself, or a backward that recomputes it from the generator's
    current state, is right only if every forward is followed by its own backward. With weight
    sharing, gradient accumulation and two views of one batch (SimCSE) it is not. A backward that
    reads p or the mode from the module is wrong after a schedule or a validation.

    To fix: save the mask, or its key, and the scale in the autograd context
    (`ctx.save_for_backward`), not on the module.
    """
    built = ctx.build(ctx.main_p)
    x = ctx.normal(ctx.telling_size(built.p))
    upstream = _upstream(ctx, x)
    calls = [_forward(ctx, built, x) for _ in range(2)]
    for number, (leaf, y) in enumerate(calls, 1):
        for attempt in (1, 2):
            (grad,) = gradients(y, [leaf], upstream.to(y.dtype), retain_graph=True)
            differ = int(((y.detach() == 0) != (grad == 0)).sum())
            if differ:
                raise Fault(
                    f"p={built.p:g}: gradient {attempt} of call {number} of 2 has another mask "
                    f"than its forward at {differ} of {x.numel()} places",
                    p=built.p,
                    differ=differ,
                )
    seen = "two calls, then two gradients of each: own masks"
    if "grad-scale" in ctx.spec.exempt:
        return Seen(seen)
    _demand_sum(ctx, ctx.build(ctx.main_p), x)
    changed = _demand_of_the_forward(ctx, ctx.build(ctx.main_p), x)
    return Seen(f"{seen}{changed and '; the same after ' + changed}")


def _demand_sum(ctx: Context, built: Built, x: torch.Tensor) -> None:
    """Two calls on one tensor, and one backward of both."""
    leaf = x.clone().requires_grad_()
    given = leaf.clone()
    ys = [ctx.call(built, given) for _ in range(2)]
    if not torch.equal(given.detach(), x):
        return  # see `input-unmodified`
    upstream = ctx.normal(2, x.numel()).reshape(2, *x.shape)
    (grad,) = gradients(torch.stack(ys), [leaf], upstream.to(ys[0].dtype))
    each = [
        torch.where(y.detach() != 0, exact(u, built.p), 0.0)
        for y, u in zip(ys, upstream, strict=True)
    ]
    allowed = sum(tolerance(one, built.p, x.dtype) for one in each)
    wrong = int(((grad.double() - sum(each)).abs() > 2 * allowed).sum())
    if wrong:
        raise Fault(
            f"p={built.p:g}: two calls on one tensor, then one backward: {wrong} of {x.numel()} "
            "gradients are not the sum of those of the two calls",
            p=built.p,
            wrong=wrong,
        )


def _demand_of_the_forward(ctx: Context, built: Built, x: torch.Tensor) -> str:
    """A gradient after the module was changed; returns what was changed."""
    module = built.module
    # A target in a checkpoint, which repeats the call and so reads the module, has no `again`.
    if module is None or built.again is None:
        return ""
    changes: dict[str, Callable[[], object]] = {}
    if ctx.subject.has_eval:
        changes["eval()"] = module.eval
    if any(rates_held(module, built.p)):
        changes["another p was set"] = lambda: set_rates(module, built.p, OTHER_P)
    for name, change in changes.items():
        leaf, y = _forward(ctx, built, x)
        upstream = _upstream(ctx, x)
        change()
        where = f"the gradient, taken after {name}"
        with ctx.blame(where):
            grad = _backward(y, leaf, upstream)
        kept, _ = split(upstream, grad, built.p, where)
        differ = int((kept != (y.detach() != 0)).sum())
        if differ:
            raise Fault(
                f"p={built.p:g}: {where}, has a different mask from its forward at {differ} of "
                f"{x.numel()} places",
                p=built.p,
                differ=differ,
            )
    return " and ".join(changes)


@check(needs=["grad-scale"])
def grad_second_order(ctx: Context) -> Seen:
    """The derivative of the gradient has the same mask and scale.

    Measured: the gradient as a function of the incoming gradient, differentiated once more: it is
    linear, with the factor 0 or 1 / (1 - p) of the forward pass.

    Gradient penalties, meta-learning and Hessian-vector products differentiate the backward pass.
    A backward written with `.data`, with NumPy or with a fresh mask gives them zeros or noise
    without an error.

    To fix: write `backward` in differentiable torch operations, or refuse a second derivative with
    `once_differentiable`.
    """
    built = ctx.build(ctx.main_p)
    x = ctx.normal(ctx.draws(4096))
    leaf, y = _forward(ctx, built, x)
    upstream = _upstream(ctx, x).requires_grad_()
    (grad,) = gradients(y, [leaf], upstream, create_graph=True)
    if not grad.requires_grad:
        raise Fault("the gradient is a constant to autograd: second derivatives are zero")
    second = ctx.normal(2, x.numel())[1]
    with refusal():
        given = gradients(grad, [upstream], second, allow_unused=True)[0]
    if given is None:
        with refusal():  # `torch.autograd.grad` skips a node on which no requested input depends
            grad.sum().backward()
        raise Fault("the gradient does not depend on the incoming gradient")
    kept, _ = split(second, given, built.p, "second derivative")
    differ = int((kept != (y.detach() != 0)).sum())
    if differ:
        raise Fault(
            f"p={built.p:g}: the second derivative has a different mask from the forward pass at "
            f"{differ} of {x.numel()} places",
            differ=differ,
        )
    return Seen("mask and scale of the forward pass")
