"""Values, gradient and eval in every condition."""

from __future__ import annotations

import math

import torch
from torch.autograd import forward_ad

from ... import conditions as of
from ...conditions import Condition, arrange
from ...context import Context, Fault, Seen, Skip, check
from ...specs import Between, Fused
from ...specs.effect import Scaled
from ...specs.elementwise import Elementwise
from ...subject import Built
from .._reading import gradients, refusal, split
from ._everywhere import (
    call_own,
    everywhere,
    factors_of,
    is_own,
    need_random,
    prepared,
    repeats,
    summed,
)
from ._gradient import compare


@check(needs=["kept-scale", "layout-values", "dtype-kept", "dtype-scale", "state-own"])
def values_everywhere(ctx: Context) -> Seen:
    """Every value is 0 or x / (1 - p) in every condition, and nothing is written to.

    Measured: a call in each condition of a covering design of p, shape, memory layout, dtype, mode
    and what was called before, such as calls that failed; the memory around x holds NaN.

    A kernel has a path for contiguous inputs, for the last elements, for half precision, for rows
    that are wide. Each can be wrong while the others are right, and a test on a contiguous float32
    matrix takes one of them.

    To fix: test the case that the message names; most such faults are in the code that selects a
    path, or in its last iteration.
    """
    need_random(ctx)
    factors = factors_of(ctx, "layout", "dtype", "mode", "before")

    def claim(condition: Condition) -> None:
        for _ in range(repeats(ctx, condition.p)):
            once(condition)

    def once(condition: Condition) -> None:
        built = prepared(ctx, condition, factors["shape"])
        x = ctx.normal(*condition.shape).to(condition.dtype)
        with of.MODES[condition.mode]():
            whole, given = arrange(x, condition.layout)
            before = whole.clone()
            y = call_own(ctx, built, given)
        if y.dtype != given.dtype and condition.mode != "autocast":
            raise Fault(f"{given.dtype} in, {y.dtype} out".replace("torch.", ""))
        split(given, y.to(given.dtype), built.p)
        if not torch.equal(_bits(whole), _bits(before)):
            raise Fault("the call wrote into x, or into the memory around it")

    conditions, refused = everywhere(ctx, factors, claim)
    return Seen(summed(conditions, refused, factors))


@check(needs=["grad-scale", "values-everywhere", "dtype-gradient"])
def gradient_everywhere(ctx: Context) -> Seen:
    """The gradient has the mask and the scale of y in every condition.

    Measured: the gradient, its derivative and the tangent of forward mode in each condition of a
    covering design of p, shape, dtype, the layout of x and the layout of the incoming gradient,
    which need not be the same.

    The incoming gradient of a sum is expanded, that of a transposed product transposed, that of a
    slice has gaps. A backward kernel that reads it as contiguous memory gives wrong gradients and
    no error.

    To fix: in backward, treat the incoming gradient as forward treats x: by logical place.
    """
    need_random(ctx)
    ctx.need_gradient()
    if "grad-scale" in ctx.spec.exempt:
        raise Skip(ctx.spec.exempt["grad-scale"])
    first = {
        **factors_of(ctx, "layout", "incoming", "dtype", "derivative"),
        "derivative": ["gradient"],
    }
    # Each has a design of its own: if the target refuses forward mode, those conditions are lost.
    others = factors_of(ctx, "layout", "dtype", "derivative")
    # Loading forward mode takes a second.
    others["derivative"] = [
        d for d in others["derivative"][1:] if d != "forward mode" or ctx.level.compiled
    ]

    def claim(condition: Condition) -> None:
        x = ctx.normal(*condition.shape).to(condition.dtype)
        upstream = ctx.normal(x.numel() + 1)[1:].reshape(x.shape).to(x.dtype)
        if of.is_expanded(condition.layout):
            upstream = upstream.abs()  # in a sum of both signs, an error is small next to rounding
        for _ in range(repeats(ctx, condition.p)):
            built = ctx.build(condition.p)
            if condition.derivative == "forward mode":
                _demand_tangent(ctx, built, x, upstream, condition)
            else:
                _demand_gradient(ctx, built, x.detach(), upstream.detach(), condition)

    conditions, refused = everywhere(ctx, first, claim)
    said = summed(conditions, refused, first)
    if others["derivative"]:
        conditions, refused = everywhere(ctx, others, claim)
        said += "; " + summed(conditions, refused, others)
    return Seen(said)


def _demand_gradient(
    ctx: Context, built: Built, x: torch.Tensor, upstream: torch.Tensor, condition: Condition
) -> None:
    is_second = condition.derivative == "second derivative"
    leaf = x.requires_grad_()
    leaf_upstream = upstream.requires_grad_(is_second)
    _, given = arrange(leaf, condition.layout)
    under_autocast = condition.derivative == "gradient under autocast"
    with of.MODES["autocast" if under_autocast else "grad mode"]():
        y = call_own(ctx, built, given)
    if under_autocast and y.dtype != x.dtype:
        raise Skip("autocast chose another dtype")
    if not y.requires_grad:
        raise Fault("y does not require a gradient where x does")
    _, incoming = arrange(leaf_upstream, condition.incoming)
    with ctx.blame("the gradient"):
        (grad,) = gradients(y, [leaf], incoming, create_graph=is_second)
    kept = y.detach() != 0
    compare(grad, kept, incoming, built.p, condition, "gradient")
    if not is_second:
        return
    if not grad.requires_grad:
        raise Fault("the gradient is a constant to autograd: second derivatives are zero")
    vector = ctx.normal(x.numel() + 2)[2:].reshape(x.shape).to(x.dtype)
    with refusal():
        given_back = gradients(grad, [leaf_upstream], vector, allow_unused=True)[0]
    if given_back is None:
        with refusal():  # `torch.autograd.grad` skips a node on which no requested input depends
            grad.sum().backward()
        raise Fault("the gradient does not depend on the incoming gradient")
    compare(given_back, kept, vector, built.p, condition, "second derivative")


def _demand_tangent(
    ctx: Context, built: Built, x: torch.Tensor, tangent: torch.Tensor, condition: Condition
) -> None:
    if isinstance(ctx.spec, Elementwise) and ctx.spec.effect != Scaled():
        raise Skip("its effect is decoded by a function without forward mode")
    _, given = arrange(x, condition.layout)
    _, direction = arrange(tangent, condition.layout)
    with forward_ad.dual_level():
        try:
            y = call_own(ctx, built, forward_ad.make_dual(given, direction))
        except Fault as fault:
            if "forward AD" in fault.message or "jvp" in fault.message:
                raise Skip("no forward mode") from fault
            raise
        value, found = forward_ad.unpack_dual(y)
        if found is None:
            raise Fault("y has no tangent: forward mode treats it as a constant")
        compare(found, value != 0, direction, built.p, condition, "tangent")


@check(needs=["eval-identity", "dtype-kept"])
def eval_everywhere(ctx: Context) -> Seen:
    """Eval returns x, bit for bit, in every condition.

    Measured: a call in eval in each condition of a covering design of p, shape, memory layout,
    dtype, mode and what was called before, on values that include -0.0, infinities and NaN.

    Eval runs in other conditions than training: under `inference_mode`, in half precision, with one
    sample. `x * 1.0 + 0.0` loses the sign of -0.0, and a cast to float32 and back is right for
    float16 only.

    To fix: in eval, return x.
    """
    ctx.need_eval()
    factors = factors_of(ctx, "layout", "dtype", "mode", "before")
    if ctx.subject.fixed_p is None:
        factors["p"] = [p for p in factors["p"] if p in (factors["p"][0], 0.5)]
    # A sum with a residual of 0.0 has no sign of zero.
    has_special = is_own(ctx.spec) and not isinstance(ctx.spec, (Between, Fused))
    has_special = has_special and not ctx.spec.finite

    def claim(condition: Condition) -> None:
        built = prepared(ctx, condition, factors["shape"])
        x = ctx.normal(*condition.shape).to(condition.dtype)
        flat = x.view(-1)
        if has_special:
            # The first is left out: it may be the only one in memory, and these hide a wrong scale.
            for place, value in enumerate((-0.0, math.inf, math.nan, 0.0), 1):
                flat[place::11] = value
        with of.MODES[condition.mode]():
            _, given = arrange(x, condition.layout)
            want = given.clone()
            y = call_own(ctx, built, given, training=False)
        if y.dtype != want.dtype:
            raise Fault(f"{want.dtype} in, {y.dtype} out".replace("torch.", ""))
        # A NaN must stay a NaN, but its bits may change: converting does that.
        same = (_bits(y) == _bits(want)) | (torch.isnan(y) & torch.isnan(want))
        if not bool(same.all()):
            at = int(torch.nonzero(~same.reshape(-1))[0])
            raise Fault(
                f"{int((~same).sum())} of {same.numel()} values changed in eval, such as "
                f"{want.reshape(-1)[at].item():g} to {y.reshape(-1)[at].item():g}"
            )

    conditions, refused = everywhere(ctx, factors, claim)
    return Seen(summed(conditions, refused, factors))


def _bits(x: torch.Tensor) -> torch.Tensor:
    """The bits of a tensor, for comparing NaN and -0.0."""
    as_integer = {8: torch.int64, 4: torch.int32, 2: torch.int16}[x.element_size()]
    return x.detach().clone(memory_format=torch.contiguous_format).view(as_integer)
