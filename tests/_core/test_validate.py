"""The checks of arguments: what each accepts, in which form it returns it, and what it says."""

import warnings

import pytest
import torch

from torchdropout._core import _validate
from torchdropout._core._validate import (
    check_generator,
    check_p,
    got,
)
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

TYPE, VALUE = ArgumentTypeError, ArgumentValueError
NESTED = torch.nested.nested_tensor([torch.ones(2)], layout=torch.jagged)


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
