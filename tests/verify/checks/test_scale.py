"""What the checks of the scale say of what is wrong."""

import re

import pytest
import torch

from verify.broken._common import draw, select
from verify.checks._alone import fault, halves, made, put, run


def test_the_largest_error_is_told_with_its_p():
    step = 1 + 2.0**-23

    def drop(x, p):
        return halves(x, p) * (step if p == 0.5 else 1)

    seen = run("kept-scale", made(drop))
    assert seen.message == "at most 2 ulp, at p=0.5"
    assert list(seen.figures["ulps"]) == ["0.001", "0.00333333", "0.1", "0.5", "0.9", "0.999"]
    assert seen.figures["ulps"]["0.5"] == 2.0
    assert seen.figures["allowed_ulps"] == 3


@pytest.mark.parametrize("p", [0.001, 0.999])
def test_a_scale_that_is_wrong_at_one_p(p):
    target = made(lambda x, at: put(halves(x, at), _1=99.0) if at == p else halves(x, at))
    assert fault("kept-scale", target).message.startswith(f"p={p:g}: 1 of 65536 values are neither")


def test_a_scale_that_is_wrong_where_a_gradient_is_recorded():
    target = made(lambda x, p: put(halves(x, p), _1=99.0) if x.requires_grad else halves(x, p))
    assert fault("kept-scale", target).message.startswith(
        "an x that requires a gradient: p=0.001: 1 of 256 values are neither"
    )


@pytest.mark.parametrize("shape", [(1,), (7,), (1025,), (3, 5, 4), (1 << 18,)])
def test_a_scale_that_depends_on_the_shape(shape):
    def drop(x, p):
        return select(x, draw(x, 0.0), p) * (1.5 if x.shape == shape else 1)

    assert fault("scale-constant", made(drop)).message.startswith(f"shape {shape}: p=0.5: ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x, p: x.masked_fill(draw(x, p), 0), "such as .*, expected .*; it looks unscaled"),
        (lambda x, p: put(halves(x, p), _0=torch.nan, _2=torch.nan), ": 2 of .*; 2 are NaN"),
        (lambda x, p: put(halves(x, p), _1=7.0), ": 1 of .* values are neither .* such as 7, "),
    ],
)
def test_what_is_said_of_wrong_values(change, said):
    found = fault("kept-scale", made(change))
    assert re.search(said, found.message)
    assert found.figures["wrong"] >= 1
