"""What the checks of every condition say of a fault in some of them."""

import math
import re

import pytest
import torch
from torch.autograd import forward_ad

from verify.checks._alone import Gradient, Once, fault, halves, made, put, run, then


def where(change, **levels):
    """A dropout that is wrong where its input has these attributes."""

    def drop(x, p):
        is_there = all(getattr(x, name) == value for name, value in levels.items())
        return change(x, p) if is_there else halves(x, p)

    return made(drop)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (where(lambda x, p: halves(x, p) * 1.01, dtype=torch.bfloat16),
         "values are neither 0 nor x / (1 - p)"),
        (where(lambda x, p: halves(x, p).double(), dtype=torch.float16), "float16 in, float64 out"),
        (where(lambda x, p: halves(x, p).add_(x.fill_(1)), ndim=3),
         "are neither 0 nor x / (1 - p)"),
    ],
)  # fmt: skip
def test_values_that_are_wrong_somewhere(target, said):
    message = fault("values-everywhere", target).message
    assert said in message
    assert "conditions fail" in message


def beyond(x, p):
    """Writes into the memory next to x."""
    y = halves(x, p)
    if x.stride() and x.storage_offset():
        x.as_strided((1,), (1,), 0).fill_(7.0)
    return y


def test_a_write_into_the_memory_around_x():
    found = fault("values-everywhere", made(beyond))
    assert "the call wrote into x, or into the memory around it" in found.message


def test_autocast_may_choose_another_dtype():
    def drop(x, p):
        y = halves(x, p)
        return y.double() if torch.is_autocast_enabled("cpu") else y

    seen = run("values-everywhere", made(drop))
    assert seen.message.endswith(" conditions of p, shape, layout, dtype, mode, before")


# --- Gradients ------------------------------------------------------------------------------------


def backward(change):
    """A right one whose gradient is changed in calls on more than a hundred elements."""

    def one(g, x, p):
        return change(g, x, p) if g.numel() > 100 else halves(g, p)

    return made(lambda x, p: Gradient.apply(x, halves(x, p), lambda g: one(g, x, p)))


class Forward(torch.autograd.Function):
    """A forward mode of its own."""

    @staticmethod
    def forward(x, p, change):
        return halves(x, p)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.p, ctx.change = inputs

    @staticmethod
    def backward(ctx, g):
        return halves(g, ctx.p), None, None

    @staticmethod
    def jvp(ctx, tangent, *_):
        return ctx.change(halves(tangent, ctx.p))


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (backward(lambda g, x, p: put(halves(g, p), _2=7.0)),
         ": 1 of 2193 values of the gradient are wrong"),
        (backward(lambda g, x, p: halves(g, p) * (1 + 2.0**-10)), " of the gradient are wrong"),
        (backward(lambda g, x, p: g[:1, None]), "the gradient raised "),
        (made(lambda x, p: halves(x, p).detach() if x.ndim == 4 else halves(x, p)),
         "y does not require a gradient where x does"),
        (backward(lambda g, x, p: halves(g.detach(), p)),
         "the gradient is a constant to autograd: second derivatives are zero"),
        (backward(lambda g, x, p: halves(g.detach(), p) + 0 * x),
         "the gradient does not depend on the incoming gradient"),
        (backward(then(_2=7.0)), ": 1 of 8198 values of the second derivative are wrong"),
        (made(lambda x, p: Forward.apply(x, p, lambda t: t * 1.5)),
         " values of the tangent are wrong"),
        (made(lambda x, p: halves(forward_ad.unpack_dual(x).primal, p)),
         "y has no tangent: forward mode treats it as a constant"),
    ],
)  # fmt: skip
def test_a_derivative_that_is_wrong(target, said):
    assert said in fault("gradient-everywhere", target, compiled=True).message


def test_derivatives_that_are_right_or_refused():
    assert "refused" not in run("gradient-everywhere", made(halves), compiled=True).message
    said = run("gradient-everywhere", made(Once.apply), compiled=True).message
    assert "refused by the target" in said


# --- Eval -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (lambda x: x + 0.0, " values changed in eval, such as -0 to 0"),
        (lambda x: put(x, _0=9.0, _5=9.0) if x.numel() > 5 else x, ": 2 of .* in eval, .* to 9"),
        (lambda x: torch.nan_to_num(x, posinf=math.inf), " values changed in eval, such as nan"),
        (lambda x: x.double(), "float32 in, float64 out"),
        (lambda x: x.mul_(2), " values changed in eval, such as"),
    ],
)
def test_values_that_change_in_eval(rule, said):
    target = made(evaluation=lambda x, p: rule(x))
    assert re.search(said, fault("eval-everywhere", target).message)
