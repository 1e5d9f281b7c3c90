"""The checks of arguments: what each accepts, in which form it returns it, and what it says."""

import math
import warnings
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from torchdropout._core import _validate
from torchdropout._core._validate import (
    broadcasts,
    check_count,
    check_generator,
    check_input,
    check_number,
    check_p,
    check_rates,
    got,
    is_captured,
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
    ("value", "expected"),
    [
        (0.5, 0.5),
        (3, 3.0),
        (Fraction(1, 2), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(2), 2.0),
        (10**400, math.inf),
        (-(10**400), -math.inf),
        (math.inf, math.inf),
        (True, TYPE),
        (np.bool_(True), TYPE),
        ("0.5", TYPE),
        (1j, TYPE),
        (None, TYPE),
        (np.ones(1), TYPE),
        (torch.tensor(0.5), TYPE),
    ],
    ids=repr,
)
def test_numbers(value, expected):
    if expected is TYPE:
        with pytest.raises(TYPE, match=r"Expected `beta` to be a number, got beta="):
            check_number("beta", "a number", value)
        return
    found = check_number("beta", "a number", value)
    assert found == expected
    assert type(found) is float


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


@pytest.mark.parametrize("is_cuda", [True, False])
@pytest.mark.parametrize("is_compiling", [True, False])
@pytest.mark.parametrize("is_initialized", [True, False])
@pytest.mark.parametrize("is_capturing", [True, False])
def test_what_is_captured(is_cuda, is_compiling, is_initialized, is_capturing, monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: is_compiling)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: is_initialized)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: is_capturing)
    expected = is_cuda and not is_compiling and is_initialized and is_capturing
    assert is_captured(SimpleNamespace(is_cuda=is_cuda)) == expected


@pytest.mark.parametrize("is_right", [True, False])
def test_the_rates_of_all_processes(is_right):
    """As of a `DTensor`: what another process has counts, and is in the error."""

    whole = torch.tensor([0.5, 0.25 if is_right else 1.25])

    class Fits:
        def __init__(self, fits):
            self.fits = fits

        def __invert__(self):
            return Fits(~self.fits)

        def __and__(self, other):
            return Fits(self.fits & other.fits)

        def sum(self):
            return SimpleNamespace(full_tensor=self.fits.sum)

        def full_tensor(self):
            return self.fits

    class Rates:
        def __ge__(self, least):
            return Fits(whole >= least)

        def __le__(self, most):
            return Fits(whole <= most)

        def full_tensor(self):
            return whole

    if is_right:
        check_rates(Rates())
    else:
        with pytest.raises(VALUE, match=r"got 1.25 in it"):
            check_rates(Rates())


# --- Flags and integers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "least", "expected"),
    [
        (1, 1, 1),
        (0, 0, 0),
        (-2, -2, -2),
        (2**63 - 1, 1, 2**63 - 1),
        (np.int32(5), 1, 5),
        (0, 1, "`n` to be 1 or more, got n=0"),
        (3, 4, "`n` to be 4 or more, got n=3"),
        (2**63, 1, r"`n` to be less than 2\*\*63, got n=9223372036854775808"),
        (True, 1, "`n` to be an integer, 1 or more, got n=True"),
        (1.0, 2, "`n` to be an integer, 2 or more, got n=1.0"),
    ],
)
def test_counts(value, least, expected):
    if isinstance(expected, str):
        error = TYPE if "integer" in expected else VALUE
        with pytest.raises(error, match=expected):
            check_count("n", value, least)
        return
    found = check_count("n", value, least)
    assert found == expected
    assert type(found) is int


# --- Tensors --------------------------------------------------------------------------------------

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch deprecates them
    QUANTISED = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8)


@pytest.mark.parametrize(
    ("x", "options", "is_right"),
    [
        *((torch.ones(2, dtype=dtype), {}, True) for dtype in _validate.REAL),
        (torch.ones(2), {"complex_ok": False}, True),
        (torch.ones(2, dtype=torch.complex64), {}, True),
        (torch.ones(2, dtype=torch.complex64), {"complex_ok": False}, False),
        (torch.ones(2, dtype=torch.int32), {}, False),
        (torch.ones(2, dtype=torch.bool), {"training": False}, False),
        (torch.ones(2).to(torch.float8_e5m2), {}, False),
        (QUANTISED, {"training": False}, True),
        (QUANTISED, {"training": True}, False),
        (QUANTISED, {"training": 0}, False),
        (QUANTISED, {}, False),
    ],
)
def test_inputs(x, options, is_right):
    if is_right:
        assert check_input(x, **options) is x
        return
    with pytest.raises(TYPE, match=f"a tensor of {x.dtype}: convert it first") as caught:
        check_input(x, **options)
    assert ("dequantize()" in str(caught.value)) == (x is QUANTISED)


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


@pytest.mark.parametrize(
    ("shape", "to", "expected"),
    [
        ((), (2, 3), True),
        ((3,), (2, 3), True),
        ((2, 1), (2, 3), True),
        ((1, 3), (2, 3), True),
        ((2, 3), (2, 3), True),
        ((2,), (2, 3), False),
        ((3, 3), (2, 3), False),
        ((1, 2, 3), (2, 3), False),
        ((2, 3), (1, 3), False),
    ],
)
def test_what_can_be_expanded(shape, to, expected):
    assert broadcasts(shape, to) == expected
