"""How far a value may be from the exact one."""

import math

import pytest
import torch

from torchdropout.verify.rounding import exact, tolerance, ulp

HALF, SINGLE, DOUBLE = torch.float16, torch.float32, torch.float64


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (1.0, SINGLE, 2.0**-23),
        (1.999, SINGLE, 2.0**-23),
        (2.0, SINGLE, 2.0**-22),
        (-0.75, SINGLE, 2.0**-24),
        (1.0, HALF, 2.0**-10),
        (1.0, torch.bfloat16, 2.0**-7),
        (1.0, DOUBLE, 2.0**-52),
        # Numbers below the smallest normal one have its unit.
        (0.0, SINGLE, 2.0**-149),
        (1e-30, HALF, 2.0**-24),
        (math.inf, DOUBLE, 2.0**971),
        (-math.inf, SINGLE, 2.0**1000),
    ],
)
def test_the_unit_in_the_last_place(value, dtype, expected):
    assert ulp(torch.tensor([value], dtype=DOUBLE), dtype).tolist() == [expected]


@pytest.mark.parametrize(
    ("value", "p", "dtype", "expected"),
    [
        (1.5, 0.5, DOUBLE, 3 * 2.0**-52),
        (1.5, 0.999, DOUBLE, 3 * 2.0**-52),
        (1.5, 0.5, SINGLE, 3 * 2.0**-23 + 1.5 * 2.0**-24),
        (-1.5, 0.75, SINGLE, 3 * 2.0**-23 + 1.5 * 2.0**-23),
        (1.5, 0.75, HALF, 3 * 2.0**-10 + 1.5 * 2.0**-23),
    ],
)
def test_three_units_and_a_p_in_float32_are_tolerated(value, p, dtype, expected):
    assert tolerance(torch.tensor([value], dtype=DOUBLE), p, dtype).tolist() == [expected]


def test_the_exact_value_is_in_float64_and_has_no_gradient():
    y = exact(torch.tensor([0.75, -1.0], requires_grad=True), 0.1)
    assert y.tolist() == [0.75 / 0.9, -1 / 0.9]
    assert y.dtype == DOUBLE
    assert not y.requires_grad
