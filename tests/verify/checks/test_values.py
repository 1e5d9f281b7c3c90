"""What the checks of values say of what is wrong."""

import math

import pytest
import torch

from verify.broken._common import draw, select
from verify.checks._alone import fault, halves, made, put, reason, run

NAN = math.nan


@pytest.mark.parametrize("mode", ["training", "evaluation"])
def test_an_input_that_is_written_to(mode):
    def write(x, p):
        x[:3] = 7.0
        return x

    found = fault("input-unmodified", made(**{mode: write}))
    named = "training" if mode == "training" else "eval"
    assert found.message == f"3 of 1024 values of x changed in a call in {named}"
    assert found.figures == {"changed": 3}


def has_both_signs(x):
    is_sorted = bool((x[1:] >= x[:-1]).all())
    return not is_sorted and bool(x.min() < 0 < x.max()) and bool(x.abs().max() < 9)


@pytest.mark.parametrize(
    ("differs", "name"),
    [
        (has_both_signs, "values of both signs"),
        (lambda x: bool((x[1:] >= x[:-1]).all() and x[0] < x[-1]), "sorted values"),
        (lambda x: x.abs().max() < 3e-30, "values near 1e-30"),
        (lambda x: 1e20 < x.abs().max() < 3e30, "values near 1e30"),
        (lambda x: bool((x == -1).all()), "negative ones"),
    ],
)
def test_a_mask_that_depends_on_the_values(differs, name):
    found = fault("value-mask", made(lambda x, p: halves(x, p, int(differs(x)))))
    assert found.message == (
        f"{name}: a different mask from that for ones after the same seed, at 256 of 256 places"
    )
    assert found.figures == {"differ": 256}


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("negative", -1.0), ("positive", 1.0), ("tiny", 1e-30), ("small and negative", -1e-3),
        ("large", 1e4), ("large and negative", -1e4), ("huge", 1e30),
    ],
)  # fmt: skip
def test_a_class_of_values_that_is_dropped_less(name, size):
    low, high = sorted((size / 2, size * 2))

    def drop(x, p):
        return select(x, draw(x, p) & ~((x >= low) & (x <= high) & (draw(x, p))), p)

    found = fault("value-rate", made(drop))
    assert found.message.startswith(f"p=0.5, {name} values: 0.2")
    assert "of 6668 dropped, expected 0.5" in found.message


def every_second(rule, dropped=0.0):
    return made(lambda x, p: torch.where(torch.arange(len(x)) % 2 == 0, dropped, rule(x)))


@pytest.mark.parametrize(
    ("rule", "given", "hold"),
    [
        (lambda x: torch.where(x.isinf(), 7.0, x), "inf", "7"),
        (lambda x: put(x, _1=5.0) if bool((x < 0).all()) else x, "-inf", "5"),
        (lambda x: torch.nan_to_num(x, nan=0.5, posinf=math.inf, neginf=-math.inf), "nan", "0.5"),
        (lambda x: x * 0 if bool((x > 0).all()) else x, "inf", "0"),
        (lambda x: -x if bool((x > 0).all()) else x, "inf", "-inf"),
    ],
)
def test_what_is_not_finite_and_kept_must_stay(rule, given, hold):
    message = f"p=0.5: kept places of an input full of {given} hold {hold}"
    assert fault("nonfinite-kept", every_second(rule)).message == message
    for dropped in (0.0, NAN):
        run("nonfinite-kept", every_second(lambda x: x, dropped))


@pytest.mark.parametrize(
    ("rule", "value", "nan"),
    [
        (lambda x: put(x, _1=NAN, _3=NAN), "inf", 2),
        (lambda x: put(x, _1=NAN) if bool((x[2:] < 0).all()) else x, "-inf", 1),
        (lambda x: x if bool(x.isnan().any()) else put(x, _0=0.0), "nan", 256),
        (lambda x: x, "inf", 0),  # never 0
    ],
)
def test_what_is_not_finite_and_dropped_must_be_0(rule, value, nan):
    def drop(x, p):
        y = rule(x)
        return put(y, _0=0.0) if nan and not bool(y.isnan().all()) else y

    found = fault("nonfinite-dropped", made(drop))
    assert found.message == (
        f"p=0.5: {nan} of 256 values are NaN for an input full of {value}, expected 0 where dropped"
    )
    assert (found.figures["nan"], str(found.figures["value"])) == (nan, value)


def test_what_has_no_such_argument():
    assert reason("inplace-claim", made()) == (
        "it has no argument `inplace`, or does not get the caller's own x"
    )
