"""The checks of arguments: what each accepts, in which form it returns it, and what it says."""

import math
import warnings

import numpy as np
import pytest
import torch

from torchdropout._core import _validate
from torchdropout._core._validate import (
    check_generator,
    check_number,
    check_p,
    got,
)
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

TYPE, VALUE = ArgumentTypeError, ArgumentValueError
NESTED = torch.nested.nested_tensor([torch.ones(2)], layout=torch.jagged)
META = torch.ones((), device="meta")


class Half(float):
    """As a number of NumPy is one."""


# --- Messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.7, "got p=1.7 (float)"),
        ("x" * 78, f"got p='{'x' * 78}' (str)"),
        ("x" * 79, f"got p='{'x' * 76}... (str)"),
        (torch.ones(2, 3), "got p=<tensor of shape (2, 3), torch.float32> (Tensor)"),
        (torch.ones(()), "got p=<tensor of shape (), torch.float32> (Tensor)"),
        (NESTED, "got p=<nested tensor, torch.float32> (NestedTensor)"),
    ],
)
def test_what_was_given(value, expected):
    assert got("p", value) == expected


# --- Numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "error"),
    [(np.ones(1), "a number that the compiler knows"), ("0.5", "to be a number, got")],
)
def test_a_number_of_numpy_is_an_array_to_the_compiler(value, error, monkeypatch):
    monkeypatch.setattr(_validate, "is_dynamo_compiling", lambda: True)
    with pytest.raises(TYPE, match=error):
        check_number("beta", "a number", value)


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (0.0, 0.0),
        (1.0, 1.0),
        (0.25, 0.25),
        (1, 1.0),
        (Half(0.5), 0.5),
        (np.float64(0.5), 0.5),
        (torch.tensor(0.5), 0.5),
        (torch.tensor(1), 1.0),
        (math.nan, VALUE),
        (-1e-9, VALUE),
        (1.0 + 1e-9, VALUE),
        (2, VALUE),
        (torch.tensor(1.5), VALUE),
        (True, TYPE),
        (torch.tensor(True), TYPE),
        (torch.tensor([0.5]), TYPE),
        (torch.tensor(0.5 + 0j), TYPE),
        (torch.tensor(0.5, requires_grad=True), TYPE),
        (META, TYPE),
        (NESTED, TYPE),
        ("0.5", TYPE),
    ],
    ids=repr,
)
def test_probabilities(p, expected):
    if isinstance(expected, type):
        with pytest.raises(expected, match=r"Expected `rate` to be .*, got rate="):
            check_p(p, "rate")
        return
    found = check_p(p, "rate")
    assert found == expected
    assert type(found) is float


def test_a_probability_on_a_gpu_that_is_captured_is_refused(monkeypatch):
    monkeypatch.setattr(_validate, "is_captured", lambda _: True)
    with pytest.raises(TYPE, match="a number while a CUDA graph is captured"):
        check_p(torch.tensor(0.5))
    assert check_p(0.5) == 0.5


# --- Flags and integers ---------------------------------------------------------------------------


# --- Tensors --------------------------------------------------------------------------------------

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch deprecates them
    QUANTISED = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8)


@pytest.mark.parametrize(("kind", "is_right"), [("cuda", True), ("xpu", False)])
def test_a_generator_on_another_device(kind, is_right, monkeypatch):
    class Generator:
        device = torch.device("cuda", 0)

    monkeypatch.setattr(torch, "Generator", Generator)
    if is_right:
        check_generator(Generator(), torch.device(kind))
        return
    with pytest.raises(VALUE, match=r"input's device \(xpu\), got a generator on cuda:0"):
        check_generator(Generator(), torch.device(kind))


# --- Dimensions and shapes ------------------------------------------------------------------------
