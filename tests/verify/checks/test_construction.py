"""What the checks of construction say of a wrong p."""

import math

import pytest
import torch

from verify.checks._alone import fault, run

ALL = ["nan", "inf", "-1.0", "-0.1", "1.5", "'0.1'", "None"]


def refusing(test):
    def drop(x, p, training):
        if not test(p):
            raise ValueError("p is not a probability")
        return x

    return drop


class AtTheCall(torch.nn.Module):
    """It refuses some p when it is built, and others when it is called."""

    def __init__(self, p=0.5):
        super().__init__()
        if not isinstance(p, float):
            raise TypeError(f"{type(p).__name__}: not a probability")
        self.p = p

    def forward(self, x):
        if self.training and not math.isfinite(self.p):
            raise ValueError(f"p={self.p}")
        return x


@pytest.mark.parametrize(
    ("target", "accepted", "late"),
    [
        (refusing(lambda p: True), ALL, []),
        (refusing(lambda p: p is None), ["None"], []),
        (refusing(lambda p: isinstance(p, float) and p < 0), ["-1.0", "-0.1"], []),
        (AtTheCall, ALL[:5], ["nan", "inf"]),
    ],
)
def test_each_wrong_p_that_is_accepted_is_named(target, accepted, late):
    found = fault("wrong-p-refused", target)
    more = f"; refused only at the call: {', '.join(late)}" if late else ""
    assert found.message == f"accepted: p={', '.join(accepted)}{more}"
    assert found.figures == {"accepted": accepted, "late": late}


def test_a_function_is_right_to_refuse_at_its_call():
    seen = run("wrong-p-refused", refusing(lambda p: False))
    assert seen.message == f"{', '.join(ALL)} refused"


@pytest.mark.parametrize(
    ("message", "p", "helps"),
    [
        ("Not a Probability", 1.5, True), ("got 1.5", 1.5, True), ("got NaN", math.nan, True),
        ("a float", 1.5, False), ("bad", -1.0, False), ("got a STR", "0.1", True),
        ("bad", "0.1", False), ("got NoneType", None, True), ("bad", None, False),
    ],
)  # fmt: skip
def test_a_message_helps_by_the_word_the_value_or_its_type(message, p, helps):
    def drop(x, given, training):
        if not isinstance(given, float) or not 0 <= given <= 1:
            is_it = given is p or given == p
            raise ValueError(message if is_it else "not a probability")
        return x

    if helps:
        run("wrong-p-named", drop)
    else:
        found = fault("wrong-p-named", drop)
        assert found.message == f"p={p!r} raised ValueError: {message}"
        assert found.figures == {"given": repr(p), "error": f"ValueError: {message}"}
