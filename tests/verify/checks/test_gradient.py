"""What the checks of the gradient say of what is wrong."""

import math

import pytest
import torch

from torchdropout.verify.subject import GRID
from verify.broken._common import draw, select
from verify.checks._alone import Gradient, Once, fault, halves, made, put, reason, run, then

NAN = math.nan


def with_gradient(change):
    """Every second is dropped; the gradient is `change(gradient, x, p)` of the right one."""

    def drop(x, p):
        return Gradient.apply(x, halves(x, p), lambda g: change(halves(g, p), x, p))

    return made(drop)


@pytest.mark.parametrize("p", [GRID[0], GRID[-1]])
def test_places_that_are_zero_in_y_or_in_the_gradient(p):
    # The first is dropped and the second kept; the third is dropped in both.
    wrong = with_gradient(lambda g, x, at: put(g, _0=1.0, _1=0.0, _2=0.0, _4=1.0) if at == p else g)
    found = fault("grad-mask", wrong)
    assert found.message == (
        f"p={p:g}: 3 of 16384 places are zero in y or in the gradient, not in both"
    )
    assert found.figures == {"p": p, "differ": 3, "n": 16384}


@pytest.mark.parametrize(
    ("strides", "name"),
    [((0, 0), "an expanded"), ((0, 1), "an expanded, along one axis,"), ((1, 24), "a transposed")],
)
def test_a_backward_that_takes_its_gradient_for_contiguous(strides, name):
    def drop(x, p):
        def backward(gradient):
            right = halves(gradient, p)
            return right * 1.5 if gradient.stride() == strides else right

        return Gradient.apply(x, halves(x, p), backward)

    found = fault("grad-scale", made(drop))
    assert found.message.startswith(f"gradient from {name} one: p=0.5: 240 of 480 values are")


@pytest.mark.parametrize(
    ("size", "gradient", "said"),
    [(1e-38, NAN, "1e-38"), (1e37, math.inf, "1e+37"), (1e-3, -math.inf, "0.001")],
)
def test_a_gradient_that_is_not_finite_at_some_size(size, gradient, said):
    wrong = with_gradient(lambda g, x, p: torch.where(x.abs() == torch.tensor(size), gradient, g))
    found = fault("grad-finite", wrong)
    assert found.message == f"p=0.5: 128 of 1024 gradients are not finite, the first at x={said}"
    assert found.figures == {"p": 0.5, "x": pytest.approx(size)}


class Later(torch.nn.Module):
    """Its backward reads the module as it then is."""

    def __init__(self, p=0.5, rule=None):
        super().__init__()
        self.p, self.built_with, self.rule = p, (p,), rule

    def forward(self, x):
        (p,) = self.built_with
        mask = draw(x, p)
        if not self.training:
            return x
        return Gradient.apply(x, select(x, mask, p), lambda g: self.rule(self, select(g, mask, p)))


def drops_the_first(g):
    return put(g, **{f"_{i}": 0.0 for i in range(20)})


OTHER = "p=0.5: the gradient, taken after {}, has a different mask from its"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda m, g: g if m.training else drops_the_first(g), OTHER.format("eval()")),
        (lambda m, g: g if m.training else g / 2, "the gradient, taken after eval(): p=0.5: "),
        (lambda m, g: g if m.p == 0.5 else drops_the_first(g), OTHER.format("another p was set")),
        (lambda m, g: g if m.p == 0.5 else g * 0.5 / (1 - m.p),
         "the gradient, taken after another p was set: p=0.5: "),
        (lambda m, g: g if m.training else g[:3], "the gradient, taken after eval() raised "),
    ],
)  # fmt: skip
def test_a_gradient_that_reads_the_module(rule, message):
    assert fault("grad-own-call", Later(0.5, rule)).message.startswith(message)


def test_a_target_that_has_no_gradient():
    target = made(evaluation=lambda x, p: x.detach())
    target.has_gradient = False
    for name in (
        "grad-mask", "grad-scale", "grad-at-zero", "grad-finite", "grad-own-call",
        "grad-second-order", "grad-checkpoint", "edge-gradients", "dtype-gradient", "compiled-law",
        "gradient-everywhere",
    ):  # fmt: skip
        assert reason(name, target, compiled=True) == "the target has no gradient", name
    run("eval-identity", target)  # nor has it one in eval


def second(derivative):
    """A dropout whose gradient has a derivative of its own."""

    def drop(x, p):
        return Gradient.apply(x, halves(x, p), lambda g: derivative(g, x, p))

    return made(drop)


@pytest.mark.parametrize(
    ("derivative", "message"),
    [
        (lambda g, x, p: halves(g.detach(), p),
         "the gradient is a constant to autograd: second derivatives are zero"),
        (lambda g, x, p: halves(g.detach(), p) + 0 * x,
         "the gradient does not depend on the incoming gradient"),
        (then(_1=0.0),
         "p=0.5: the second derivative has a different mask from the forward pass at 1 of 4096"),
        (then(_1=9.0),
         "second derivative: p=0.5: 1 of 4096 values are neither 0 nor x / (1 - p), such as 9"),
    ],
)  # fmt: skip
def test_a_second_derivative_that_is_wrong(derivative, message):
    assert fault("grad-second-order", second(derivative)).message.startswith(message)


def test_a_second_derivative_that_is_refused():
    assert reason("grad-second-order", made(Once.apply)) == (
        "the target refuses a second derivative"
    )
