"""Two implementations side by side: what differs is listed, what does not is not."""

import hashlib
import itertools
import math
import random
import re
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import torchdropout.nn
from torchdropout.verify import compare
from torchdropout.verify.adapters import from_numpy
from torchdropout.verify.checks.dtype import DTYPES
from torchdropout.verify.comparison import Comparison, Row
from torchdropout.verify.comparison.distributions import compare_distributions
from torchdropout.verify.comparison.kept import kept_values
from torchdropout.verify.comparison.observe import Observer
from torchdropout.verify.comparison.plan import UNITS, SamplePlan
from torchdropout.verify.comparison.policies import POLICIES
from torchdropout.verify.comparison.run import (
    CALLS_DIFFER,
    _check_row,
    compare_subjects,
)
from torchdropout.verify.comparison.text import render_comparison
from torchdropout.verify.comparison.two_sample import (
    location_p_value,
    shift_seen,
    split_p_value,
    spread_p_value,
)
from torchdropout.verify.context import Context, Level, Skip
from torchdropout.verify.targets import resolve
from torchdropout.verify.world import World, fresh_modes
from verify import _reports as r

# Gross differences, in a few seconds.
FAST = Level("fast", 0.04, 0.12, 0.08, 3e3, 1 << 15, 1 << 15, 1 << 17, strength=1)
TINY = Level("tiny", 0.06, 0.2, 0.1, 1e3, 1 << 14, 1 << 14, 1 << 16, strength=1)
GROSS = Level("gross", 0.3, 0.3, 0.3, 1e3, 1 << 13, 1 << 13, 1 << 13, strength=1)


def compare_laws(a, b, level=FAST, spec=None, seed=0, checks=(), timeout=None):
    """`compare` without the other checks, which take most of the time and have tests of their own.

    Except those that say whether the calls of a target are a sample.
    """
    one, other = (resolve(target, spec=spec) for target in (a, b))
    only = frozenset([*CALLS_DIFFER, *checks])
    return compare_subjects(one, other, level=level, seed=seed, only=only, timeout=timeout)


class Below(nn.Module):
    """The shortest right one, in words that help."""

    def __init__(self, p=0.5):
        super().__init__()
        if not isinstance(p, float) or not 0 <= p <= 1:
            raise ValueError(f"expected p in [0, 1], got p={p!r}")
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        drop = torch.rand(x.shape, dtype=torch.float32) < self.p
        return x.masked_fill(drop, 0) * (1 / (1 - self.p) if self.p < 1 else 0)


def differing(comparison, group=None):
    return {row.aspect for row in comparison.differences if group in (None, row.group)}


def found(comparison, aspect):
    (row,) = (row for row in comparison.rows if row.aspect == aspect)
    return row


@pytest.mark.integration
def test_torch_and_ours_differ_in_policies_alone():
    torch_and_ours = compare(nn.Dropout, torchdropout.nn.Dropout, level=FAST)
    assert not torch_and_ours.same
    # Some versions of torch refuse complex numbers.
    assert differing(torch_and_ours) - {"dtype out, complex64 in"} == {
        *("wrong p, nan", "dtype out, int64 in", "inf where dropped", "-inf where dropped"),
        *("nan where dropped", "words of torch's generator", "mask for a seed"),
        *("mask in other layouts", "nonfinite-dropped", "layout-mask", "wrong-p-refused"),
    }
    assert all(row.differs is False for row in torch_and_ours.rows if row.group == "law")
    aspects = [(row.group, row.aspect) for row in torch_and_ours.rows]
    assert len(aspects) == len(set(aspects))
    row = found(torch_and_ours, "inf where dropped")
    assert (row.a, row.b, row.severity) == ("NaN", "0", "error")
    assert found(torch_and_ours, "words of torch's generator").b.endswith(" a call")


def every_second_copies(drop):
    flat = drop.reshape(-1, 2)
    copied = torch.where(torch.rand(len(flat)) < 0.5, flat[:, 0], flat[:, 1])
    return torch.stack([flat[:, 0], copied], dim=1).reshape(drop.shape)


def channels_copy_two_apart(drop):
    fours = drop.unflatten(1, (-1, 4))
    return torch.cat([fours[:, :, :2], fours[:, :, :2]], dim=2).reshape(drop.shape)


def exactly_half(drop):
    return torch.randperm(drop.numel()).reshape(drop.shape) < drop.numel() // 2


def uneven_places(drop):
    flat = drop.reshape(-1, 16).clone()
    flat[:, 3] |= torch.rand(len(flat)) < 0.3
    flat[:, 4] &= torch.rand(len(flat)) > 0.3
    return flat.reshape(drop.shape)


def same(value):
    return value


@pytest.mark.parametrize(
    ("fault", "change", "aspects", "a", "b"),
    [
        (same, same, [], "", ""),
        (lambda drop: drop.roll(1, -1) & drop, same, ["rate, float32"], "0.25", "0.[45]"),
        (exactly_half, same, ["spread of the count"], "0 of 2048", "2.* of 2048"),
        (every_second_copies, same, ["pairs along memory that differ"], "lag 1: 0.2", "0.[45]"),
        (channels_copy_two_apart, same, ["pairs along axes that differ"], "axis 1, lag 2: 0$",
         "0.[45]"),
        (uneven_places, same, ["rate in places modulo 16"], "places [34]: 0.[63]", "0.[45]"),
        (same, lambda x: x + 0.3, ["mean of y"], "0.[23]", "-?0.0"),
        (same, lambda x: 1.3 * x, ["mean of x y", "mean of y^2"], "", ""),
        (same, lambda x: x * math.nan, ["rate, float16", "rate, float64"], "NaN", "0.5|0.49"),
    ],
)  # fmt: skip
def test_distributions_that_differ_in_one_way_are_told_apart(fault, change, aspects, a, b):
    def wrong(x, p, training):
        return change(x).masked_fill(fault(torch.rand(x.shape) < p), 0) / (1 - p)

    def right(x, p, training):
        return x.masked_fill(torch.rand(x.shape) < p, 0) / (1 - p)

    plan = plan_of((0.5, 0.5), level=GROSS, a=wrong, b=right)
    rows = {row.aspect.removesuffix(", p=0.5"): row for row in compare_distributions(plan)}
    differing = {aspect for aspect, row in rows.items() if row.differs}
    assert differing >= {*aspects}
    assert bool(differing) is bool(aspects)
    for aspect in aspects:
        assert re.match(a, rows[aspect].a)
        assert re.match(b, rows[aspect].b)


@pytest.mark.integration
def test_two_of_different_kinds_are_compared_in_the_checks_of_both():
    a, b = resolve(nn.Dropout(0.5)), resolve(nn.AlphaDropout(0.5))
    checks = frozenset([*CALLS_DIFFER, "kept-scale", "alpha-moments"])
    comparison = compare_subjects(a, b, level=TINY, seed=0, only=checks)
    assert found(comparison, "what it claims to be").differs
    assert "alpha-moments" in {result.rule.name for result in comparison.b.checks}
    aspects = {row.aspect for row in comparison.rows if row.group == "check"}
    assert aspects == checks - {"alpha-moments"}


def test_an_instance_is_compared_at_its_own_p():
    comparison = compare_laws(nn.Dropout(0.3), Below)
    laws = [row for row in comparison.rows if row.group == "law"]
    assert {row.aspect.partition("p=")[2] for row in laws} == {"0.3"}
    assert "at p=0.3, like the other" in comparison.b.description
    assert differing(comparison, "law") == set()
    assert found(comparison, "p it can be verified at").differs is False


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_instances_without_chance_are_compared_in_what_they_do(p):
    comparison = compare(nn.Dropout(p), Below(p), level=FAST)
    assert [row for row in comparison.rows if row.group == "law"] == []
    # torch raises for complex and integer inputs, at p=0 too.
    others = {row.aspect for row in comparison.differences if row.severity == "error"}
    assert others <= {"dtype out, complex64 in", "dtype out, int64 in"}


def test_calls_that_repeat_each_other_are_no_sample():
    def one_mask(x, p, training):
        generator = torch.Generator().manual_seed(0)
        return x.masked_fill(torch.rand(x.shape, generator=generator) < p, 0) if training else x

    comparison = compare_laws(one_mask, Below)
    (row,) = (row for row in comparison.rows if row.group == "law")
    assert row.differs is None
    assert "train-stochastic fails" in row.a
    assert row.b == "not looked at"
    assert not comparison.same
    assert "; b: not looked at: all\n" in render_comparison(comparison)


# Whatever the target does


def _exits(x, p, training):
    raise SystemExit(3)


def _fails_at_random(x, p, training):
    if float(torch.rand(())) < 0.3:
        raise ValueError("unlucky")
    return F.dropout(x, p, training)


def _changes_global_state(x, p, training):
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.manual_seed(1)
    return F.dropout(x, p, training)


@pytest.mark.parametrize("target", [_exits, _fails_at_random, _changes_global_state])
def test_nothing_that_a_target_does_ends_the_comparison(target):
    before = (torch.get_default_dtype(), torch.is_grad_enabled(), torch.random.get_rng_state())
    # At one p: what a target does there, it does at each.
    comparison = compare_laws(partial(target, p=0.5), Below, TINY)
    assert comparison.complete
    assert not comparison.same
    render_comparison(comparison, width=80)
    assert torch.get_default_dtype() == before[0]
    assert torch.is_grad_enabled() == before[1]
    assert torch.equal(torch.random.get_rng_state(), before[2])


@pytest.mark.integration
def test_a_target_that_hangs_is_left_after_the_time_limit():
    def sleeps(x, p, training):
        if p == 1:
            time.sleep(3600)
        torch.manual_seed(0)  # no sample: its distribution, which takes long, is not compared
        return F.dropout(x, p, training)

    comparison = compare_laws(F.dropout, sleeps, TINY, checks=["p-one-zeros"], timeout=0.5)
    assert found(comparison, "output at p=1").b == "does not end within 0.5 s"
    assert "did not end within 0.5 s" in found(comparison, "p-one-zeros").b


def test_ctrl_c_ends_it_with_what_was_done():
    def interrupted(x, p, training):
        if p == 1:  # at which these checks do not call
            raise KeyboardInterrupt
        return F.dropout(x, p, training)

    comparison = compare_laws(F.dropout, interrupted)
    assert not comparison.b.interrupted
    assert {row.group for row in comparison.rows} == {"policy"}
    assert not comparison.complete
    assert not comparison.same
    assert "no verdict" in render_comparison(comparison)


# The tests themselves


def test_a_p_value_is_as_rare_as_it_says_over_all_ways_to_deal():
    ties = np.array([0.0, 0, 0, 0, 1, 1, 1, 2, 2, 5])
    for pooled in (np.arange(10.0), ties, np.array([0.0] * 6 + [1] * 4)):
        for test in (split_p_value, location_p_value, spread_p_value):
            as_rare_as_it_says(pooled, test)


def as_rare_as_it_says(pooled, test):
    chosen = list(itertools.combinations(range(10), 5))
    p_values = []
    for one in chosen:
        rest = [i for i in range(10) if i not in one]
        p_values.append(test(pooled[list(one)], pooled[rest]))
    for p_value in set(p_values):
        assert np.mean(np.array(p_values) <= p_value + 1e-12) <= p_value + 1e-12


@pytest.mark.parametrize(
    ("a", "b", "p_value"),
    [
        ([0, 1, 2, 3], [4, 5, 6, 7], 2 / 70),  # of as many ways to choose four of eight
        ([0, 1, 2, 7], [4, 5, 6, 3], 2 * 17 / 70),
        # Six of eight are equal: the cut is at those that are larger, or at least as large.
        ([0, 0, 0, 0], [0, 0, 1, 1], 2 * 15 / 70),
        ([1, 1, 1, 1], [1, 1, 0, 0], 2 * 15 / 70),
    ],
)
def test_the_p_value_of_a_split(a, b, p_value):
    a, b = np.array(a, dtype=float), np.array(b, dtype=float)
    assert split_p_value(a, b) == split_p_value(b, a) == pytest.approx(p_value)


def test_a_shift_of_the_size_stated_is_seen():
    generator = np.random.default_rng(0)
    alpha = 1e-9
    shift = shift_seen(UNITS, alpha)

    def power(shift, runs=400):
        a, b = generator.normal(size=(2, runs, UNITS))
        return np.mean([split_p_value(x, y + shift) < alpha for x, y in zip(a, b, strict=True)])

    assert power(shift) > 0.98
    assert power(0.6 * shift) < 0.9


def test_values_that_differ_by_rounding_alone_are_equal():
    ones = np.ones(UNITS)
    assert location_p_value(ones, ones * (1 + 1e-7)) == 1
    assert location_p_value(ones, ones * 1.001) < 1e-9
    assert location_p_value(ones * 0, ones * 0) == 1
    turned = np.tile([1.0, 1 + 1e-7], UNITS // 2)
    assert spread_p_value(ones, turned) == 1
    assert spread_p_value(ones, np.tile([0.9, 1.1], UNITS // 2)) < 1e-9
    assert location_p_value(np.tile([0.9, 1.1], UNITS // 2), np.tile([0.8, 1.2], UNITS // 2)) == 1


# As data and as text


ONE = Row("policy", "output at p=1", "NaN", "zeros", True, "error")
ADVICE = Row("policy", "wrong p, 1.5", "accepted", "refused when built, Error", True, "advice")
SAME = (
    Row("policy", "modes", "x", "x", False, "error"),
    Row("check", "drop-rate", "passes: a", "passes: b", False, "error"),
    Row("law", "rate, float32, p=0.1", "0.1", "0.1", False, "error", sees=0.001),
    Row("law", "rate, float32, p=0.5", "0.5", "0.5", False, "error", sees=0.002),
    Row("law", "spread of the count, p=0.5", "9", "9", False, "error", sees=0.5),
)
UNSEEN = Row("law", "mean of y, p=0.5", "NaN", "1", None, "error")


def comparison_of(*rows, a=(r.OK,), **more):
    sides = r.target(*a, name="a.py:A"), r.target(r.OK, r.ADVICE, name="b.py:B")
    return Comparison(*sides, rows, 1e-6, **{"seconds": 1.5, **more})


HEAD = """\
a  a.py:A
   module class, built as Drop(p=p)
b  b.py:B
   module class, built as Drop(p=p)
level quick   seed 7   false-alarm rate 1e-06

"""
WHOLE = f"""{HEAD}\
                        a         b
DIFFERS  output at p=1  NaN       zeros
differs  wrong p, 1.5   accepted  refused when built, Error

the same: 1 of 3 policies; all 1 checks; 3 of 4 distribution tests
not compared: 1, since a: NaN; b: 1: mean of y, p=0.5
sees: a difference of 0.001 to 0.002 in rate; 0.5 in spread of the count

2 differences in 1.5 s, 1 of them in results.
"""


# A column needs 22; the label, the aspect and the gaps take 26.
@pytest.mark.parametrize("width", [None, 72, 69])
def test_a_comparison_as_text(width):
    text = render_comparison(comparison_of(ADVICE, ONE, *SAME, UNSEEN), width)
    if width == 69:
        assert f"{HEAD}DIFFERS  output at p=1\n   a  NaN\n   b  zeros\n" in text
        assert "0.5 in spread of the\n      count\n" in text
    else:
        assert text == WHOLE


def test_what_does_not_differ_is_counted_or_listed():
    failed = "skipped: not checked: kept-scale failed"
    skips = [Row("check", f"check-{i}", failed, "passes: x", None, "error") for i in range(34)]
    kept = [Row("law", f"kept values, p={i}", "1 x", "2 x", True, "error") for i in range(24)]
    comparison = comparison_of(*kept, *SAME, *skips, a=(r.ERROR, r.ADVICE))
    text = render_comparison(comparison)
    assert "   fails 1 check: p-one-zeros\n" in text
    assert text.count("DIFFERS") == 2
    assert "and 22 more like these: -v lists them\n" in text
    assert "the same: all 1 policies; 1 of 35 checks; 3 of 27 distribution tests\n" in text
    assert "not compared: 34, since a: kept-scale failed: check-0, " in text
    whole = render_comparison(comparison, detail="checks")
    assert whole.count("DIFFERS") == 24
    assert "3 of 27 distribution tests: rate (2), spread of the count\n" in whole
    assert "check-33" in whole
    assert "more" not in whole


@pytest.mark.parametrize("width", [100, 40])
def test_a_comparison_fits_its_width_and_steers_no_terminal(width):
    bad = "\x1b[2J\nx\ty\x00" + "é" * 300
    rows = [
        replace(ONE, aspect=bad, a=bad, b="right " * 30, differs=d) for d in (True, None, False)
    ]
    comparison = comparison_of(*rows, a=(r.ERROR,))
    comparison = replace(comparison, a=replace(comparison.a, target=bad, description=bad))
    text = render_comparison(comparison, width)
    assert not {"\x1b", "\x00", "\t"} & {*text}
    assert max(map(len, text.splitlines())) <= width
    assert text.count("right") == 30 * (1 + 1)
    styled = render_comparison(comparison, width, styled=True)
    assert "\x1b[1;31mDIFFERS\x1b[0m" in styled
    assert re.sub(r"\x1b\[[0-9;]*m", "", styled) == text


@pytest.mark.parametrize(
    ("rows", "more", "colour", "verdict"),
    [
        (SAME, {}, "1;32", "no difference in 1.5 s: the same."),
        ((*SAME, UNSEEN), {}, "1;33",
         "no difference seen in 1.5 s, 1 not compared: no verdict."),
        ((ADVICE,), {}, "1;31", "1 difference in 1.5 s, none of them in results."),
        ((ONE, ONE, UNSEEN), {}, "1;31", "2 differences in 1.5 s, 2 of them in results."),
        (SAME, {"complete": False}, "1;31", "interrupted after 1.5 s: no verdict."),
    ],
)  # fmt: skip
def test_the_verdict_of_a_comparison_and_its_colour(rows, more, colour, verdict):
    comparison = comparison_of(*rows, **more)
    styled = render_comparison(comparison, styled=True, detail="quiet")
    assert styled == f"\x1b[{colour}m{verdict}\x1b[0m\n"
    assert comparison.same is ("the same" in verdict)
    assert comparison.to_dict()["complete"] is comparison.complete
    assert render_comparison(comparison).endswith(f"\n\n{verdict}\n")


def test_a_comparison_as_data():
    row = replace(ONE, p_value=0.25, sees=0.5)
    data = comparison_of(row, a=(r.ERROR,), seconds=1.23456).to_dict()
    (only,) = data.pop("rows")
    assert (data.pop("a")["findings"], data.pop("b")["findings"]) == (
        ["p-one-zeros"], ["wrong-p-named"]
    )  # fmt: skip
    assert data == {
        "schema": 1, "same": False, "complete": True, "level": "quick", "seed": 7,
        "false_alarm_rate": 1e-6, "seconds": 1.235,
    }  # fmt: skip
    assert only == {
        "group": "policy", "aspect": "output at p=1", "a": "NaN", "b": "zeros", "differs": True,
        "severity": "error", "sees": 0.5, "p_value": 0.25,
    }  # fmt: skip


def moved(ulps):
    """Moves what is kept by so many units in the last place, up or down."""

    def target(x, p, training):
        y = F.dropout(x, p, training)
        signs = 2 * torch.randint(0, 2, y.shape, dtype=torch.int32) - 1
        return torch.where(y == 0, y, (y.view(torch.int32) + ulps * signs).view(torch.float32))

    return target


def one_in_64_is_lost(x, p, training):
    return F.dropout(x, p).index_fill(0, torch.arange(3, len(x), 64), 0)


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        (lambda x, p, training: x * math.nan, "NaN"),
        (one_in_64_is_lost, "0 for some values, always"),
        (lambda x, p, training: 3 * x, "3 x"),
        (moved(0), "x / (1 - p) to 0 ulp"),
        (moved(3), "x / (1 - p) to 3 ulp"),
        (moved(8), "not a function of x"),
    ],
)
def test_what_is_said_of_kept_values(target, seen):
    kept = kept_values(Context(resolve(target), TINY, 0, 1e-6, 10), 0.5, torch.float32)
    assert (kept if isinstance(kept, str) else kept.said) == seen


# The policies, one at a time


def said(aspect, target, level=TINY, **hints):
    """What a policy says of a target."""
    (probe,) = (policy.probe for policy in POLICIES if policy.aspect == aspect)
    return probe(Context(resolve(target, **hints), level, 0, 1e-6, 10))


def masked(x, p, training):
    return x.masked_fill(torch.rand(x.shape) < p, 0) if training else x


def multiplied(x, p, training):
    return x * (torch.rand(x.shape) >= p)


def moves(*draws):
    """A target that draws before it returns x."""

    def target(x, p, training):
        for one in draws:
            one(x, training)
        return x

    return target


def returns(function):
    return lambda x, p, training: function(x)


def _in_eval(x, training):
    if not training:
        torch.rand(3)


def words(count):
    """A target that takes so many of the words of torch's generator."""
    return moves(lambda x, _: torch.randint(9, (count(x.numel()),)))


# Two masks of 4096 ones.
ALL_KEPT = hashlib.blake2b(b"\xff" * 1024, digest_size=4).hexdigest()

# What each policy says of some targets.
SAYS = {
    "p it can be verified at": [(nn.Dropout, "any"), (nn.Dropout(0.3), "p=0.3")],
    "modes": [(lambda x, p: x, "training only")],
    "output at p=0": [
        (returns(lambda x: x.clone()), "y equals x"),
        (returns(lambda x: x.where(x > 0, math.nan)), "some NaN"),
        (returns(lambda x: x + 1), "other values"),
    ],
    "output at p=1": [(nn.Dropout, "zeros")],
    "gradient at p=0": [(nn.Dropout(0.0), "the incoming gradient")],
    "gradient at p=1": [
        (nn.Dropout(1.0), "zeros"),
        (returns(lambda x: x * 2), "other values"),
        (returns(lambda x: torch.ones(x.shape, requires_grad=True) * 2), "not connected to x"),
    ],
    "wrong p, 1.5": [
        (Below, "refused when built, ValueError"),
        (masked, "accepted"),
        (lambda x, p, training: F.dropout(x, p) if training else x,
         "refused at the call, ValueError"),
        (returns(lambda x: {}[x]), "refused at the call, KeyError"),
    ],
    "values in eval": [(masked, "y equals x"), (multiplied, "some NaN")],
    "object in eval": [
        (masked, "x itself"),
        (returns(lambda x: x.view(-1)), "a view of x"),
        (returns(lambda x: x.clone()), "a new tensor"),
    ],
    "dtype out, float16 in": [(returns(lambda x: x.float()), "float32")],
    "empty input": [(nn.Dropout(0.3), "a tensor of the shape of x")],
    "inf where dropped": [
        (masked, "0"),
        (multiplied, "NaN"),
        (returns(lambda x: torch.where(torch.arange(len(x)) < 9, x - x, 0.0)), "0 or NaN"),
    ],
    "-inf where dropped": [(returns(lambda x: x), "neither 0 nor NaN")],
    "nan where dropped": [(multiplied, "NaN")],
    "input after a call": [
        (moves(), "x is left as it was"),
        (moves(lambda x, training: training or x.mul_(2)), "x is written in eval"),
        (moves(lambda x, _: x.mul_(2)), "x is written in training and eval"),
    ],
    "generators moved in training": [
        (moves(lambda *_: torch.rand(3)), "torch's"),
        (moves(lambda *_: np.random.rand(), lambda *_: random.random()), "NumPy's and Python's"),
        (moves(_in_eval), "none"),
    ],
    "generators moved in eval": [(moves(_in_eval), "torch's")],
    "words of torch's generator": [
        (moves(), "none"),
        (moves(lambda x, _: torch.rand(3)), "3 a call"),
        (words(lambda n: 2 + 3 * n), "2 a call and 3 an element"),
        (words(lambda n: 8 * n + 56), "56 a call and 8 an element"),
        (moves(lambda x, _: torch.rand(9 * len(x))), "seeds it, or moves it otherwise"),
        (moves(lambda x, _: torch.rand(1 if len(x) < 5000 else 5)),
         "1 for 4096, 5 for 8192, 5 for 12288"),
    ],
    "mask for a seed": [(moves(), f"mask {ALL_KEPT}")],
    "mask in other layouts": [
        (masked, "one mask for all"),
        (returns(lambda x: x.masked_fill(torch.rand_like(x) < 0.5, 0)),
         "other masks: transposed, channels_last"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("aspect", SAYS)
def test_what_a_policy_says(aspect):
    for target, expected in SAYS[aspect]:
        with fresh_modes():
            assert said(aspect, target) == expected


@pytest.mark.parametrize(
    ("aspect", "target", "why"),
    [
        ("output at p=0", nn.Dropout(0.3), r"the target has p=0\.3"),
        ("gradient at p=0", nn.Dropout(0.3), r"the target has p=0\.3"),
        ("gradient at p=1", from_numpy(masked), "no gradient"),
        ("wrong p, nan", nn.Dropout(0.3), "the target's p is given"),
        ("values in eval", lambda x, p: x, "no eval mode"),
    ],
)
def test_a_policy_that_does_not_apply_says_why(aspect, target, why):
    with pytest.raises(Skip, match=why):
        said(aspect, target)


# The plan


def plan_of(*points, level=FAST, a=nn.Dropout, b=nn.Dropout):
    contexts = tuple(Context(resolve(target), level, 0, 1e-6, 1) for target in (a, b))
    return SamplePlan(contexts, points, Observer(World(), None), 1e-6)


def test_the_false_alarm_rate_is_shared_by_all_tests():
    # At each p: a rate in each dtype, a spread and three moments. Once: 16 places, 7 lags along
    # memory, and 2 along each of 4 axes.
    for points in ([(0.5, 0.5)], [(0.1, 0.1), (0.3, 0.4)]):
        tests = len(points) * (len(DTYPES) + 4) + 16 + 7 + 8
        assert plan_of(*points).alpha == pytest.approx(1e-6 / tests, rel=1e-12)


@pytest.mark.parametrize(
    ("statuses", "differs"),
    [
        (("ok", "ok"), False), (("fail", "fail"), False), (("skip", "skip"), False),
        (("ok", "fail"), True), (("fail", "ok"), True), (("skip", "ok"), None),
        (("fail", "skip"), None),
    ],
)  # fmt: skip
def test_the_row_of_a_check(statuses, differs):
    a, b = (r.check(status, f"m{i}") for i, status in enumerate(statuses))
    words = {"ok": "passes", "fail": "fails", "skip": "skipped"}
    said = [f"{words[status]}: m{i}" for i, status in enumerate(statuses)]
    assert _check_row(a, b) == Row("check", "drop-rate", *said, differs, "error")
