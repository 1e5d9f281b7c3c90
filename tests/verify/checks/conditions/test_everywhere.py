"""The conditions of a target, and what a report says of those that fail."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from torchdropout.verify import conditions as of
from torchdropout.verify.checks.conditions import _everywhere
from torchdropout.verify.conditions import Condition
from torchdropout.verify.context import Fault, Skip
from torchdropout.verify.specs.names import SPECS
from torchdropout.verify.subject import PLAIN
from verify.checks._alone import context, halves, made
from verify.correct import specs


@pytest.mark.parametrize(
    ("spec", "own"),
    [
        ("dropout2d", True), ("alpha", True), ("dropout-add", True), ("zoneout", True),
        ("attention", False), ("tokens", False), ("weights", False), ("drop-block", False),
    ],
)  # fmt: skip
def test_which_targets_get_x_itself(spec, own):
    assert _everywhere.is_own(SPECS[spec]) is own
    assert _everywhere.is_own(PLAIN)


FACTORS = ("layout", "incoming", "dtype", "mode", "derivative", "before")


def test_the_factors_of_a_target_that_gets_x_itself():
    found = _everywhere.factors_of(context(torch.nn.Dropout), *FACTORS)
    assert {name: tuple(levels) for name, levels in found.items()} == {
        "p": of.P,
        "shape": of.SHAPES,
        "layout": of.LAYOUTS,
        "incoming": of.LAYOUTS,
        "dtype": of.DTYPES,
        "mode": ("grad mode", "no_grad", "inference_mode", "autocast"),
        "derivative": of.DERIVATIVES,
        "before": of.BEFORE,
    }
    assert list(_everywhere.factors_of(context(torch.nn.Dropout), "mode")) == ["p", "shape", "mode"]


def test_the_factors_of_a_target_whose_input_is_made():
    found = _everywhere.factors_of(context(specs.attention, spec="attention"), *FACTORS)
    assert found["shape"] == ((131,), (1,), (67, 3))
    assert found["layout"] == found["incoming"] == ["contiguous"]
    assert found["mode"] == ("grad mode", "no_grad", "inference_mode")
    assert found["derivative"] == ("gradient",)


@pytest.mark.parametrize(("draws", "p"), [(False, of.P), (True, of.P_OF_DRAWS)])
def test_the_p_of_draws(draws, p):
    assert _everywhere.factors_of(context(torch.nn.Dropout), draws=draws)["p"] == p
    assert _everywhere.factors_of(context(torch.nn.Dropout))["p"] == of.P


def test_what_a_target_cannot_be_tried_in_is_left_out():
    def without_eval(x, p):
        return x

    found = _everywhere.factors_of(context(without_eval), "before")
    assert found["before"] == [h for h in of.BEFORE if h != "a call in eval"]
    # A layer of float32 weights has one dtype, and none in what was called before.
    ctx = context(torch.nn.Dropout)
    object.__setattr__(ctx.subject, "spec", replace(PLAIN, exempt={"dtype-scale": "weights"}))
    found = _everywhere.factors_of(ctx, "dtype", "before")
    assert found["dtype"] == (torch.float32,)
    assert found["before"] == [h for h in of.BEFORE if h != "a call in float64"]
    found = _everywhere.factors_of(context(specs.channels, spec="dropout2d"), "layout")
    assert all(any(of.fits(at, s) for s in found["shape"]) for at in found["layout"])


@pytest.mark.parametrize(
    ("p", "is_random"), [(0.0, False), (1.0, False), (0.001, True), (0.999, True)]
)
def test_an_instance_of_which_nothing_is_random(p, is_random):
    if is_random:
        _everywhere.need_random(context(torch.nn.Dropout(p)))
    else:
        with pytest.raises(Skip, match=f"^the instance has p={p:g}: nothing is random$"):
            _everywhere.need_random(context(torch.nn.Dropout(p)))
    _everywhere.need_random(context(torch.nn.Dropout))


@pytest.mark.parametrize(
    ("p", "calls"),
    [(0.1, 1), (0.001, 1), (1 / 3, 3), (0.5, 4), (0.9, 22), (0.91, 1), (0.99, 1), (0.0, 1)],
)
def test_calls_until_each_place_has_been_kept(p, calls):
    """A place is missed in all of them with a probability of at most a tenth."""
    assert _everywhere.repeats(context(torch.nn.Dropout, most=1 << 27), p) == calls
    assert _everywhere.repeats(context(torch.nn.Dropout), p) == 1
    if calls > 1:
        assert p**calls <= 0.1 < p ** (calls - 1)


SHAPES = ((5,), (3, 4), (2, 2, 3), (1,), (4, 5))


@pytest.mark.parametrize(
    ("before", "called"),
    [
        ("nothing", []),
        ("a larger call", [((9, 5), torch.float32, True)]),
        ("a smaller call", [((1,), torch.float32, True)]),
        ("a call in eval", [((4, 5), torch.float32, False)]),
        ("a call in float64", [((4, 5), torch.float64, True)]),
        (
            "calls with wrong inputs",
            [(None, None, True), ((3,), np.float32, True), ((3,), torch.float8_e4m3fn, True)],
        ),
    ],
)
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


def failing(*shapes, refuses=()):
    def claim(condition):
        if condition.shape in refuses:
            raise Skip("refused")
        if condition.shape in shapes:
            raise Fault(f"wrong at {condition.shape}", wrong=len(condition.shape))

    return claim


ROWS = [
    Condition({"p": p, "shape": shape, "dtype": dtype})
    for p in (0.1, 0.5)
    for shape in ((5,), (3, 4))
    for dtype in (torch.float32, torch.float16)
]
LEVELS = {"p": (0.1, 0.5), "shape": ((5,), (3, 4)), "dtype": (torch.float32, torch.float16)}


def test_the_conditions_that_fail_are_counted_and_named():
    with pytest.raises(Fault) as caught:
        _everywhere.everywhere(context(torch.nn.Dropout), LEVELS, failing((3, 4)), ROWS)
    assert caught.value.message == (
        "p=0.1, shape (3, 4): wrong at (3, 4); 4 of 8 conditions fail, all with shape (3, 4)"
    )
    assert caught.value.figures == {
        "wrong": 2,
        "failed": [str(row) for row in ROWS if row.shape == (3, 4)],
    }


def test_no_more_than_eight_of_them_are_listed():
    with pytest.raises(Fault, match="12 of 12 conditions fail") as caught:
        _everywhere.everywhere(
            context(torch.nn.Dropout), LEVELS, failing((5,), (3, 4)), [*ROWS, *ROWS[:4]]
        )
    assert len(caught.value.figures["failed"]) == 8


def test_refusals_are_counted():
    claim = failing(refuses=[(5,)])
    found = _everywhere.everywhere(context(torch.nn.Dropout), LEVELS, claim, ROWS)
    assert found == (ROWS, 4)
    assert _everywhere.summed(*found, LEVELS) == (
        "8 conditions of p, shape, dtype; 4 refused by the target"
    )
    assert _everywhere.summed(ROWS, 0, {**LEVELS, "p": (0.1,)}) == "8 conditions of shape, dtype"


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
    assert _everywhere._in_common(LEVELS, failed) == said


def test_a_factor_of_one_level_is_not_what_they_have_in_common():
    levels = {**LEVELS, "p": (0.1,)}
    assert _everywhere._in_common(levels, ROWS[:2]) == ", all with shape (5,)"


def test_a_claim_is_seeded_by_its_condition():
    drawn = []
    for _ in range(2):
        _everywhere.everywhere(
            context(torch.nn.Dropout), LEVELS, lambda c: drawn.append(float(torch.rand(()))), ROWS
        )
    assert drawn[:8] == drawn[8:]
    assert len(set(drawn)) == 8


@pytest.mark.parametrize(("strength", "times"), [(1, 4), (2, 4), (3, 12)])
def test_levels_that_hide_a_fault_have_designs_of_their_own(strength, times):
    ctx = context(torch.nn.Dropout)
    factors = {
        "p": (0.01, 0.05, 0.5, 0.95, 0.99),
        "shape": ((), (24,), (23,), (4, 6), (2, 2)),
        "dtype": of.DTYPES,
    }
    found = _everywhere.designed(ctx, factors, strength)
    tell = [c for c in found if 0.05 <= c.p <= 0.95 and math.prod(c.shape) >= 24]
    if strength > 1:  # every pair of ordinary levels
        assert {(c.p, c.shape) for c in tell} == {
            (p, s) for p in (0.05, 0.5, 0.95) for s in ((24,), (4, 6))
        }
    hidden = [c for c in found if c not in tell]
    for p in (0.01, 0.99):
        assert {c.dtype for c in hidden if c.p == p} == set(of.DTYPES)
        assert {c.shape for c in hidden if c.p == p} == {(24,), (4, 6)}
    for shape in ((), (23,), (2, 2)):
        assert {c.dtype for c in hidden if c.shape == shape} == set(of.DTYPES)
        assert {c.p for c in hidden if c.shape == shape} == {0.05, 0.5, 0.95}
        # Each level once, or each pair of levels: the fewest conditions.
        assert sum(c.shape == shape for c in hidden) == times


def test_levels_that_all_hide_a_fault_are_all_there_is():
    factors = {"p": (0.01,), "shape": ((),), "dtype": of.DTYPES[:2]}
    found = _everywhere.designed(context(torch.nn.Dropout), factors, 1)
    assert sorted(str(c.dtype) for c in found) == ["torch.float32", "torch.float64"]


def test_a_layout_that_no_shape_has_is_left_out():
    levels = {"shape": ((5,),), "layout": of.LAYOUTS, "incoming": of.LAYOUTS, "dtype": of.DTYPES}
    left = _everywhere._possible(levels)
    fitting = [at for at in of.LAYOUTS if of.fits(at, (5,))]
    assert left == {"shape": ((5,),), "layout": fitting, "incoming": fitting, "dtype": of.DTYPES}
    assert 0 < len(fitting) < len(of.LAYOUTS)


def test_a_kind_is_read_as_a_plain_dropout_in_training_alone():
    """Alpha dropout does not return 0 where it drops; in eval it returns x."""
    ctx = context(torch.nn.AlphaDropout(0.5), spec="alpha")
    built, x = ctx.build(0.5), torch.linspace(0.5, 1, 50)
    y = _everywhere.call_own(ctx, built, x)
    assert set((y / x).round(decimals=4).tolist()) == {0.0, 2.0}
    assert bool((_everywhere.call_raw(ctx, built, x) != 0).all())
    assert torch.equal(_everywhere.call_own(ctx, built, x, training=False), x)
    plain = context(made(halves))
    assert torch.equal(_everywhere.call_own(plain, plain.build(0.5), x), halves(x, 0.5))
    with pytest.raises(Fault, match="expected shape"):
        _everywhere.call_own(plain, replace(plain.build(0.5), call=lambda x, training: x[:1]), x)
