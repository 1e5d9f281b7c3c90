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


def gradient_at(edge, change):
    return at(edge, lambda x: Gradient.apply(x, x * (1 - edge), change))


def zeros(**others):
    return lambda x: put(torch.zeros_like(x), **others)


def refusing(shape, mode):
    def check(x, p):
        if x.shape == shape:
            raise IndexError("no element")
        return x

    return made(**{mode: check})


def never_dropping(shape):
    return made(lambda x, p: x / (1 - p) if x.shape == shape else select(x, draw(x, p), p))


RAISED = "a call at p=0.5 in {} raised IndexError: no element"


@pytest.mark.parametrize(
    ("name", "target", "said"),
    [
        ("p-zero-identity", at(0, lambda x: put(x, _0=0.0, _1=0.0, _9=7.0)),
         "p=0: training changed 3 of 65536 values, of which 2 became 0"),
        ("p-zero-identity", at(0, lambda x: put(x, _65535=NAN)), "changed 1 of 65536 values"),
        ("p-one-zeros", at(1, zeros(_3=NAN, _4=NAN, _5=1.0)),
         "p=1: 2 of 4096 values are NaN, expected 0"),
        ("p-one-zeros", at(1, zeros(_3=-1.0, _4=2.0, _5=math.inf)),
         "p=1: 3 of 4096 values are not 0"),
        ("edge-gradients", gradient_at(1, zeros(_0=NAN, _1=1.0)),
         "p=1: 2 of 4096 gradients are wrong, 1 are NaN, expected 0"),
        ("edge-gradients", gradient_at(0, lambda g: put(g, _0=0.0, _1=9.0, _4095=0.0)),
         "p=0: 3 of 4096 gradients are wrong, expected the incoming gradient"),
        ("empty-input", refusing((0,), "training"), RAISED.format("training")),
        ("empty-input", refusing((3, 0, 2), "evaluation"), RAISED.format("eval")),
        ("empty-input", refusing((0, 5), "evaluation"), RAISED.format("eval")),
        ("tiny-input", never_dropping(()), "p=0.5, shape (): 0 of "),
        ("tiny-input", never_dropping((1,)), "p=0.5, shape (1,): 0 of "),
        ("tiny-input", made(lambda x, p: x if x.ndim == 3 else halves(x, p, 1)),
         "shape (1, 1, 1): p=0.5: 17 of 17 values are neither"),
    ],
)  # fmt: skip
def test_a_fault_at_an_edge(name, target, said):
    assert said in fault(name, target, rough_rate=0.1 if "neither" in said else 0.02).message


def test_a_constant_zero_at_1_has_the_gradient_0_and_a_constant_at_0_has_not():
    run("edge-gradients", at(1, lambda x: torch.zeros(x.shape)))
    with pytest.raises(RuntimeError, match="does not require grad"):
        run("edge-gradients", at(0, lambda x: x.detach()))
