"""What the checks of the scale say of what is wrong."""

import re

import pytest
import torch

from verify.broken._common import draw, select
from verify.checks._alone import fault, halves, made, put, run


def test_the_largest_error_is_told_with_its_p():
    seen = run("kept-scale", made(lambda x, p: halves(x, p) * (1 + (p == 0.5) * 2.0**-23)))
    assert seen.message == "at most 2 ulp, at p=0.5"
    assert list(seen.figures["ulps"]) == ["0.001", "0.00333333", "0.1", "0.5", "0.9", "0.999"]
    assert seen.figures["ulps"]["0.5"] == 2.0
    assert seen.figures["allowed_ulps"] == 3


def wrong_where(test):
    return made(lambda x, p: put(halves(x, p), _1=99.0) if test(x, p) else halves(x, p))


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (wrong_where(lambda x, p: p == 0.001), "^p=0.001: 1 of 65536 values are neither"),
        (wrong_where(lambda x, p: p == 0.999), "^p=0.999: 1 of 65536 values are neither"),
        (wrong_where(lambda x, p: x.requires_grad),
         "^an x that requires a gradient: p=0.001: 1 of 256 values are neither"),
        (made(lambda x, p: x.masked_fill(draw(x, p), 0)), "such as .*, expected .*; .* unscaled"),
        (made(lambda x, p: put(halves(x, p), _0=torch.nan, _2=torch.nan)), ": 2 of .*; 2 are NaN"),
    ],
)  # fmt: skip
def test_what_is_said_of_wrong_values(target, said):
    found = fault("kept-scale", target)
    assert re.search(said, found.message)
    assert found.figures["wrong"] >= 1


@pytest.mark.parametrize("shape", [(1,), (7,), (1025,), (3, 5, 4), (1 << 18,)])
def test_a_scale_that_depends_on_the_shape(shape):
    def drop(x, p):
        return select(x, draw(x, 0.0), p) * (1.5 if x.shape == shape else 1)

    assert fault("scale-constant", made(drop)).message.startswith(f"shape {shape}: p=0.5: ")
