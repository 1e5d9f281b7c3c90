"""What is read from an output: what is kept, how far it is off, and what a message says of it."""

import math

import pytest
import torch

from torchdropout.verify.checks import _reading as reading
from torchdropout.verify.context import Fault, Skip

NAN = math.nan


@pytest.mark.parametrize(
    ("y", "said", "figures"),
    [
        (
            [2.0, 0.0, 7.0, 8.0],
            "p=0.5: 1 of 4 values are neither 0 nor x / (1 - p), such as 7, expected 6",
            {"wrong": 1, "n": 4, "got": 7.0, "expected": 6.0},
        ),
        (
            [1.0, 2.0, 0.0, 4.0],
            "p=0.5: 3 of 4 values are neither 0 nor x / (1 - p), such as 1, expected 2; "
            "it looks unscaled",
            {"wrong": 3, "n": 4, "got": 1.0, "expected": 2.0},
        ),
        (
            [2.0, NAN, NAN, 3.0],
            "p=0.5: 3 of 4 values are neither 0 nor x / (1 - p), such as nan, expected 4; "
            "2 are NaN",
            {"wrong": 3, "n": 4, "expected": 4.0},
        ),
    ],
)
@pytest.mark.parametrize("what", ["", "y"])
def test_a_wrong_value_is_told_with_the_first_of_them(y, said, figures, what):
    x = torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(2, 2)
    with pytest.raises(Fault) as caught:
        reading.split(x, torch.tensor(y).reshape(2, 2), 0.5, *([what] if what else []))
    assert caught.value.message == (f"{what}: {said}" if what else said)
    found = {name: caught.value.figures[name] for name in figures}
    assert found == figures
    assert caught.value.figures["p"] == 0.5


class Writes(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        found = gradient * 2
        gradient.data[1:3] = 0
        return found


def test_a_backward_that_writes_into_the_incoming_gradient_is_told():
    leaf = torch.ones(5, requires_grad=True)
    with pytest.raises(Fault) as caught:
        reading.gradients(Writes.apply(leaf), [leaf], torch.ones(5))
    assert caught.value.message == (
        "the backward writes into the incoming gradient: 2 of 5 of its values changed, for every "
        "other operation that gets it"
    )
    assert caught.value.figures == {"changed": 2}


@pytest.mark.parametrize(
    ("message", "refuses"),
    [
        ("trying to differentiate twice a function marked with @once_differentiable", True),
        ("torch.compile with aot_autograd does not currently support double backward", True),
        ("a size that does not fit", False),
    ],
)
def test_a_refusal_of_a_second_derivative_is_known_by_its_message(message, refuses):
    with pytest.raises(Skip if refuses else RuntimeError) as caught, reading.refusal():
        raise RuntimeError(message)
    wanted = "the target refuses a second derivative" if refuses else message
    assert str(caught.value) == wanted


def test_another_error_is_no_refusal():
    with pytest.raises(ValueError, match="double backward"), reading.refusal():
        raise ValueError("double backward")
