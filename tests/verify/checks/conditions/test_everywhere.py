"""The conditions of a target, and what a report says of those that fail."""

import re

import numpy as np
import pytest
import torch

from torchdropout.verify.checks.conditions import _everywhere
from torchdropout.verify.conditions import Condition
from torchdropout.verify.context import Fault, Skip
from verify.checks._alone import context

SHAPES = ((5,), (3, 4), (2, 2, 3), (1,), (4, 5))


@pytest.mark.parametrize(
    ("before", "called"),
    [
        ("nothing", []),
        ("a larger call", [((9, 5), torch.float32, True)]),
        ("a smaller call", [((1,), torch.float32, True)]),
        ("a call in eval", [((4, 5), torch.float32, False)]),
        ("a call in float64", [((4, 5), torch.float64, True)]),
        ("calls with wrong inputs",
         [(None, None, True), ((3,), np.float32, True), ((3,), torch.float8_e4m3fn, True)]),
    ],
)  # fmt: skip
def test_what_was_called_before(before, called):
    calls = []

    def drop(x, p, training):
        calls.append((getattr(x, "shape", None), getattr(x, "dtype", None), training))
        if len(calls) == len(called) and "wrong" in before:
            raise TypeError("not a tensor")
        return x

    condition = Condition({"p": 0.1, "shape": (5,), "before": before})
    built = _everywhere.prepared(context(drop), condition, SHAPES)
    assert built.p == 0.1
    assert calls == called


ROWS = [
    Condition({"p": p, "shape": shape, "dtype": dtype})
    for p in (0.1, 0.5)
    for shape in ((5,), (3, 4))
    for dtype in (torch.float32, torch.float16)
]
LEVELS = {"p": (0.1, 0.5), "shape": ((5,), (3, 4)), "dtype": (torch.float32, torch.float16)}


def everywhere(error, test):
    """The check of a claim that raises an error in the conditions of a test."""

    def claim(condition):
        if test(condition):
            raise error

    return _everywhere.everywhere(context(torch.nn.Dropout), LEVELS, claim, ROWS)


def test_the_conditions_that_fail_are_counted_and_named():
    with pytest.raises(Fault) as caught:
        everywhere(Fault("wrong there", wrong=2), lambda row: row.shape == (3, 4))
    assert caught.value.message == (
        "p=0.1, shape (3, 4): wrong there; 4 of 8 conditions fail, all with shape (3, 4)"
    )
    failed = [str(row) for row in ROWS if row.shape == (3, 4)]
    assert caught.value.figures == {"wrong": 2, "failed": failed}


def test_refusals_are_counted():
    found = everywhere(Skip("refused"), lambda row: row.shape == (5,))
    assert _everywhere.summed(*found, LEVELS) == (
        "8 conditions of p, shape, dtype; 4 refused by the target"
    )


@pytest.mark.parametrize(
    ("failed", "said"),
    [
        (ROWS[:1], ""),
        (ROWS[:2], ", all with p=0.1 and shape (5,)"),
        (ROWS[:4], ", all with p=0.1"),
        ([ROWS[1], ROWS[5]], ", all with shape (5,) and float16"),
        (ROWS, ""),
    ],
)
def test_what_failing_conditions_have_in_common(failed, said):
    with pytest.raises(Fault, match=rf"{len(failed)} of 8 conditions fail{re.escape(said)}$"):
        everywhere(Fault("wrong"), lambda row: row in failed)
