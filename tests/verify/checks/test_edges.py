"""What the checks of the edges say of a fault at p of 0 and 1, and with no or one element."""

import math

import pytest
import torch

from verify.broken._common import draw, select
from verify.checks._alone import Gradient, fault, halves, made, put, run

NAN = math.nan


def at(edge, rule):
    """A dropout with a rule of its own at one p."""
    return made(lambda x, p: rule(x) if p == edge else select(x, draw(x, p), p))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            lambda x: put(x, _0=0.0, _1=0.0, _9=7.0),
            "p=0: training changed 3 of 65536 values, of which 2 became 0",
        ),
        (
            lambda x: put(x, _65535=NAN),
            "p=0: training changed 1 of 65536 values, of which 0 became 0",
        ),
    ],
)
def test_values_that_change_at_0(rule, message):
    assert fault("p-zero-identity", at(0, rule)).message == message


@pytest.mark.parametrize(
    ("rule", "message", "figures"),
    [
        (
            lambda x: put(torch.zeros_like(x), _3=NAN, _4=NAN, _5=1.0),
            "p=1: 2 of 4096 values are NaN, expected 0",
            {"nan": 2, "other": 1},
        ),
        (
            lambda x: put(torch.zeros_like(x), _3=-1.0, _4=2.0, _5=math.inf),
            "p=1: 3 of 4096 values are not 0",
            {"nan": 0, "other": 3},
        ),
    ],
)
def test_values_that_are_not_0_at_1(rule, message, figures):
    found = fault("p-one-zeros", at(1, rule))
    assert (found.message, found.figures) == (message, figures)


@pytest.mark.parametrize(
    ("edge", "change", "message", "figures"),
    [
        (
            1,
            lambda g: put(torch.zeros_like(g), _0=NAN, _1=1.0),
            "p=1: 2 of 4096 gradients are wrong, 1 are NaN, expected 0",
            {"p": 1.0, "wrong": 2, "nan": 1},
        ),
        (
            1,
            lambda g: put(torch.zeros_like(g), _7=1.0),
            "p=1: 1 of 4096 gradients are wrong, expected 0",
            {"p": 1.0, "wrong": 1, "nan": 0},
        ),
        (
            0,
            lambda g: put(g, _0=0.0, _1=9.0, _4095=0.0),
            "p=0: 3 of 4096 gradients are wrong, expected the incoming gradient",
            {"p": 0.0, "wrong": 3, "nan": 0},
        ),
    ],
)
def test_a_gradient_that_is_wrong_at_an_edge(edge, change, message, figures):
    target = at(edge, lambda x: Gradient.apply(x, x * (1 - edge), change))
    found = fault("edge-gradients", target)
    assert (found.message, found.figures) == (message, figures)


def test_a_constant_zero_at_1_has_the_gradient_0_and_a_constant_at_0_has_not():
    run("edge-gradients", at(1, lambda x: torch.zeros(x.shape)))
    with pytest.raises(RuntimeError, match="does not require grad"):
        run("edge-gradients", at(0, lambda x: x.detach()))


@pytest.mark.parametrize(
    ("shape", "training"), [((0,), True), ((3, 0, 2), False), ((0, 5), True), ((0, 5), False)]
)
def test_an_empty_input_that_raises(shape, training):
    def check(x, p):
        if x.shape == shape:
            raise IndexError("no element")
        return x

    mode = "in training" if training else "in eval"
    assert fault(
        "empty-input", made(**{"training" if training else "evaluation": check})
    ).message == (f"a call at p=0.5 {mode} raised IndexError: no element")


@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)])
def test_an_input_of_one_element_that_is_never_dropped(shape):
    def drop(x, p):
        return x / (1 - p) if x.shape == shape else select(x, draw(x, p), p)

    found = fault("tiny-input", made(drop), rough_rate=0.02)
    assert found.message.startswith(f"p=0.5, shape {shape}: 0 of ")
    assert "dropped, expected 0.5" in found.message


def test_an_input_of_one_element_whose_scale_is_wrong():
    found = fault("tiny-input", made(lambda x, p: x if x.ndim == 3 else halves(x, p, 1)))
    assert found.message.startswith("shape (1, 1, 1): p=0.5: 17 of 17 values are neither")
    assert "such as -1.5, expected -3; it looks unscaled" in found.message
