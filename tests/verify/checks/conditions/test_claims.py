"""What the checks of every condition say of a fault in some of them."""

import math

import pytest
import torch
from torch.autograd import forward_ad

from torchdropout.verify import conditions as of
from torchdropout.verify.checks.conditions import claims
from torchdropout.verify.conditions import Condition
from torchdropout.verify.context import Fault, Skip
from verify.checks._alone import Gradient, context, fault, halves, made, put, reason, run

ALL = of.DTYPES


def where(change, **levels):
    """A dropout that is wrong where its input has these attributes."""

    def drop(x, p):
        is_there = all(getattr(x, name) == value for name, value in levels.items())
        return change(x, p) if is_there else halves(x, p)

    return made(drop)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            where(lambda x, p: halves(x, p) * 1.01, dtype=torch.bfloat16),
            "values are neither 0 nor x / (1 - p)",
        ),
        (
            where(lambda x, p: halves(x, p).double(), dtype=torch.float16),
            ": float16 in, float64 out",
        ),
        (
            where(lambda x, p: halves(x, p).add_(x.fill_(1)), ndim=3),
            "are neither 0 nor x / (1 - p)",
        ),
    ],
)
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


# --- One gradient ---------------------------------------------------------------------------------

X = torch.arange(1.0, 13).reshape(3, 4)
UPSTREAM = torch.arange(2.0, 14).reshape(3, 4)


def gradient(target, derivative="gradient", spec=None, **levels):
    ctx = context(target, spec=spec)
    condition = Condition({"p": 0.5, "shape": (3, 4), "derivative": derivative, **levels})
    built = ctx.build(0.5)
    if derivative == "forward mode":
        claims._demand_tangent(ctx, built, X.clone(), UPSTREAM.clone(), condition)
    else:
        claims._demand_gradient(ctx, built, X.clone(), UPSTREAM.clone(), condition)


def backward(change):
    def drop(x, p):
        return Gradient.apply(x, halves(x, p), lambda g: change(g, x, p))

    return made(drop)


DERIVATIVES = ("gradient", "second derivative", "gradient under autocast")


@pytest.mark.parametrize("derivative", [*DERIVATIVES, "forward mode"])
@pytest.mark.parametrize("layout", ["contiguous", "transposed"])
def test_derivatives_that_are_right(derivative, layout):
    gradient(made(halves), derivative, layout=layout)


def test_a_gradient_of_elements_that_share_memory():
    gradient(made(halves), layout="expanded first axis")


@pytest.mark.parametrize("derivative", DERIVATIVES)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda g, x, p: put(halves(g, p), _1=0.0), "1 of 12 values of the gradient are wrong"),
        (lambda g, x, p: g[:1, :1, None, None] @ g, "the gradient raised "),
    ],
)
def test_a_gradient_that_is_wrong(derivative, change, said):
    with pytest.raises(Fault) as caught:
        gradient(backward(change), derivative)
    assert caught.value.message.startswith(said)


def test_an_output_that_is_cut_off():
    with pytest.raises(Fault, match="y does not require a gradient where x does"):
        gradient(made(lambda x, p: halves(x, p).detach()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda g, x, p: halves(g.detach(), p),
            "the gradient is a constant to autograd: second derivatives are zero",
        ),
        (
            lambda g, x, p: halves(g.detach(), p) + 0 * x,
            "the gradient does not depend on the incoming gradient",
        ),
        (
            lambda g, x, p: Gradient.apply(g, halves(g, p), lambda v: put(halves(v, p), _1=0.0)),
            "1 of 12 values of the second derivative are wrong",
        ),
    ],
)
def test_a_second_derivative_that_is_wrong(change, said):
    with pytest.raises(Fault) as caught:
        gradient(backward(change), "second derivative")
    assert caught.value.message.startswith(said)
    gradient(backward(change), "gradient")


def test_a_second_derivative_that_is_refused():
    with pytest.raises(Skip, match="the target refuses a second derivative"):
        gradient(made(Once.apply), "second derivative")
    gradient(made(Once.apply), "gradient")


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, g, p):
        ctx.p = p
        ctx.save_for_backward(g)
        return halves(g, p)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, v):
        return halves(v, ctx.p), None


class Forward(torch.autograd.Function):
    """A forward mode of its own."""

    @staticmethod
    def forward(x, p, change):
        return halves(x, p)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.p, ctx.change = inputs

    @staticmethod
    def jvp(ctx, tangent, *_):
        return ctx.change(halves(tangent, ctx.p))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            lambda x, p: Forward.apply(x, p, lambda t: put(t, _1=0.0, _3=0.0)),
            "2 of 12 values of the tangent are wrong",
        ),
        (
            lambda x, p: halves(forward_ad.unpack_dual(x).primal, p),
            "y has no tangent: forward mode treats it as a constant",
        ),
    ],
)
def test_a_tangent_that_is_wrong(rule, said):
    with pytest.raises(Fault) as caught:
        gradient(made(rule), "forward mode")
    assert caught.value.message.startswith(said)


def test_a_target_without_forward_mode():
    with pytest.raises(Skip, match="no forward mode"):
        gradient(backward(lambda g, x, p: g), "forward mode")

    def raises(x, p):
        raise IndexError("wrong")

    with pytest.raises(Fault, match="IndexError: wrong"):
        gradient(made(raises), "forward mode")


# --- Which conditions -----------------------------------------------------------------------------


def test_what_has_no_gradient_or_no_eval():
    def drop(x, p):
        return halves(x, p)

    drop.has_gradient = False
    assert "gradient" in reason("gradient-everywhere", drop)
    assert "eval" in reason("eval-everywhere", drop)


def evaluated(rule, *, spec=None, **levels):
    """The claim of eval in one condition."""
    condition = Condition({"p": 0.5, "shape": (30,), **levels})

    def one(ctx, factors, claim):
        claim(condition)
        return [condition], 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "everywhere", one)
        return run("eval-everywhere", rule, spec=spec)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (lambda x: x + 0.0, "3 of 30 values changed in eval, such as -0 to 0"),
        (lambda x: put(x, _0=9.0, _5=8.0), "^2 of 30 values changed in eval, such as .* to 9$"),
        (
            lambda x: torch.nan_to_num(x, posinf=math.inf),
            "3 of 30 values changed in eval, such as nan",
        ),
        (lambda x: x.double(), "float32 in, float64 out"),
        (lambda x: x.mul_(2), " of 30 values changed in eval, such as"),
    ],
)
def test_values_that_change_in_eval(rule, said):
    with pytest.raises(Fault, match=said):
        evaluated(made(evaluation=lambda x, p: rule(x)))
