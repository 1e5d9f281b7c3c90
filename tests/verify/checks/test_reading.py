"""What is read from an output: what is kept, how far it is off, and what a message says of it."""

import math

import pytest
import torch

from torchdropout.verify.checks import _reading as reading
from torchdropout.verify.context import Fault, Skip
from torchdropout.verify.specs.names import SPECS
from torchdropout.verify.subject import PLAIN

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


@pytest.mark.parametrize(
    ("y", "kept", "ulps"),
    [
        ([2.0, 0.0, 6.0], [True, False, True], 0.0),
        ([2.0, 0.0, 6.0 + 2.0**-20], [True, False, True], 2.0),
        ([0.0, 0.0, 0.0], [False] * 3, 0.0),
    ],
)
def test_values_are_kept_within_some_ulps(y, kept, ulps):
    found, error = reading.split(torch.tensor([1.0, 2.0, 3.0]), torch.tensor(y), 0.5)
    assert found.tolist() == kept
    assert error == ulps


@pytest.mark.parametrize(
    ("factor", "looks"),
    [(1.0, True), (1 + 0.9e-3, True), (1 + 1.1e-3, False), (1 - 1.1e-3, False), (1.2, False)],
)
def test_what_looks_unscaled_is_x_to_a_thousandth_where_kept(factor, looks):
    x = torch.tensor([-1.0, 2.0, 3.0])
    with pytest.raises(Fault) as caught:
        reading.split(x, torch.tensor([-1.0, 0.0, 3.0]) * factor, 0.5)
    assert ("it looks unscaled" in caught.value.message) is looks


def test_a_thousandth_is_unscaled_too():
    given, kept = torch.tensor([1000.0]), torch.tensor([True])
    assert reading._is_unscaled(given, torch.tensor([1001.0]).double(), kept)


@pytest.mark.parametrize(
    ("spec", "scaled"),
    [
        ("dropout2d", True), ("drop-path", True), ("alpha", False),
        ("gaussian", False), ("attention", True),
    ],
)  # fmt: skip
def test_which_kinds_have_values_of_0_and_scaled_ones(spec, scaled):
    assert reading.is_scaled(SPECS[spec]) is scaled
    assert reading.is_scaled(PLAIN)


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


def test_a_gradient_is_taken_once_and_is_no_function_unless_that_is_asked_for():
    leaf, other = (torch.ones(3, requires_grad=True) for _ in range(2))
    y = leaf.exp()
    with pytest.raises(RuntimeError, match="appears to not have been used"):
        reading.gradients(y, [other], torch.ones(3), retain_graph=True)
    found = reading.gradients(y, [other], torch.ones(3), retain_graph=True, allow_unused=True)
    assert found == (None,)
    (grad,) = reading.gradients(y, [leaf], torch.ones(3))
    assert not grad.requires_grad
    with pytest.raises(RuntimeError, match="a second time"):
        reading.gradients(y, [leaf], torch.ones(3))


@pytest.mark.parametrize(
    ("y", "x", "same"),
    [
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]), True),
        (torch.tensor([1.0, 2.5]), torch.tensor([1.0, 2.0]), False),
        (torch.tensor([NAN, 2.0]), torch.tensor([NAN, 2.0]), True),
        (torch.tensor([NAN, 2.5]), torch.tensor([NAN, 2.0]), False),
        (torch.tensor([12345.0, 2.0]), torch.tensor([NAN, 2.0]), False),
        (torch.tensor([NAN, 2.0]), torch.tensor([12345.0, 2.0]), False),
        (torch.tensor([0.0, 2.0]), torch.tensor([NAN, 2.0]), False),
        (torch.tensor([1.0, 2.0], dtype=torch.float64), torch.tensor([1.0, 2.0]), True),
        (torch.tensor([1.0, 2.0]).half(), torch.tensor([1.0, 2.0]), True),
        (torch.tensor([1.1, 2.0]).half(), torch.tensor([1.1, 2.0]), False),
        (torch.tensor([math.inf]), torch.tensor([math.inf]), True),
        (torch.tensor([math.inf]), torch.tensor([-math.inf]), False),
    ],
)
def test_values_are_the_same_with_nan_at_the_same_places(y, x, same):
    assert reading.same_values(y, x) is same


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
