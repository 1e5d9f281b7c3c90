"""Two implementations side by side: what differs is listed, what does not is not."""

import hashlib
import itertools
import json
import math
import random
import re
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import binom, norm
from torch import nn
from torch.nn import functional as F

import torchdropout.nn
from torchdropout.errors import TargetError
from torchdropout.verify import compare
from torchdropout.verify.adapters import from_numpy
from torchdropout.verify.checks.dtype import DTYPES
from torchdropout.verify.comparison import Comparison, Row, distributions, run
from torchdropout.verify.comparison.distributions import (
    Units,
    _pair_rows,
    _places_row,
    _rate_row,
    _row,
    _shares,
    _std,
    _worst_row,
    draw,
)
from torchdropout.verify.comparison.kept import kept_values
from torchdropout.verify.comparison.observe import Observer
from torchdropout.verify.comparison.plan import UNITS, SamplePlan, label_of, points_of, unmeasured
from torchdropout.verify.comparison.policies import POLICIES, Policy
from torchdropout.verify.comparison.run import (
    CALLS_DIFFER,
    _at_one_p,
    _calls_depend,
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
from torchdropout.verify.context import LEVELS, Context, Fault, Level, Skip
from torchdropout.verify.targets import resolve
from torchdropout.verify.world import World, fresh_modes
from verify import _reports as r

# Gross differences, in a few seconds.
FAST = Level("fast", 0.04, 0.12, 0.08, 3e3, 1 << 15, 1 << 15, 1 << 17, strength=1)
TINY = Level("tiny", 0.06, 0.2, 0.1, 1e3, 1 << 14, 1 << 14, 1 << 16, strength=1)


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


class DropPath(nn.Module):
    """Whole samples."""

    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        drop = torch.rand(x.shape[:1] + (1,) * (x.dim() - 1)) < self.p
        return x.masked_fill(drop, 0) * (1 / (1 - self.p) if self.p < 1 else 0)


def differing(comparison, group=None):
    return {row.aspect for row in comparison.differences if group in (None, row.group)}


def found(comparison, aspect):
    (row,) = (row for row in comparison.rows if row.aspect == aspect)
    return row


def drops_complex_numbers():
    """Whether torch's dropout does, as ours; torch 2.13 refuses them."""
    try:
        nn.functional.dropout(torch.ones(2, dtype=torch.complex64), 0.5)
    except NotImplementedError:
        return False
    return True


@pytest.fixture(scope="module")
def torch_and_ours():
    return compare(nn.Dropout, torchdropout.nn.Dropout, level=FAST)


@pytest.mark.integration
def test_a_target_and_itself_are_the_same():
    comparison = compare(nn.Dropout(0.5), nn.Dropout(0.5), level=FAST)
    assert differing(comparison) == set()
    assert comparison.same
    assert {row.group for row in comparison.rows} == {"policy", "check", "law"}
    assert render_comparison(comparison).endswith(": the same.\n")


@pytest.mark.integration
def test_torch_and_ours_differ_in_policies_alone(torch_and_ours):
    assert not torch_and_ours.same
    of_this_torch = set() if drops_complex_numbers() else {"dtype out, complex64 in"}
    assert differing(torch_and_ours) == of_this_torch | {
        "wrong p, nan",
        "dtype out, int64 in",
        "inf where dropped",
        "-inf where dropped",
        "nan where dropped",
        "words of torch's generator",
        "mask for a seed",
        "mask in other layouts",
        "nonfinite-dropped",
        "layout-mask",
        "wrong-p-refused",
    }
    assert all(row.differs is False for row in torch_and_ours.rows if row.group == "law")
    row = found(torch_and_ours, "inf where dropped")
    assert (row.a, row.b, row.severity) == ("NaN", "0", "error")
    assert found(torch_and_ours, "words of torch's generator").b.endswith(" a call")


@pytest.mark.parametrize(
    ("aspect", "seen"),
    [
        ("p it can be verified at", "any"),
        ("modes", "training and eval"),
        ("output at p=0", "y equals x"),
        ("output at p=1", "zeros"),
        ("gradient", "has one"),
        ("gradient at p=0", "the incoming gradient"),
        ("gradient at p=1", "zeros"),
    ],
)
def test_what_both_do_is_said_in_words(torch_and_ours, aspect, seen):
    row = found(torch_and_ours, aspect)
    assert (row.a, row.b, row.differs) == (seen, seen, False)


@pytest.mark.integration
def test_the_notebooks_fails_where_torchs_does_not():
    model = "examples/notebook_models.py:JustDropoutModelImpl"
    comparison = compare_laws(nn.Dropout, model, TINY, checks=["p-one-zeros"])
    assert {"output at p=1", "gradient at p=1", "dtype out, bfloat16 in"} < differing(comparison)
    assert found(comparison, "output at p=1").b == "NaN"
    assert found(comparison, "wrong p, 1.5").b == "accepted"
    assert found(comparison, "p-one-zeros").b.startswith("fails: p=1: 4096 of 4096 values are NaN")
    assert differing(comparison, "law") == set()


@pytest.mark.integration
def test_a_rate_a_little_higher_is_seen():
    def more(x, p, training):
        return F.dropout(x, p, training) if not 0 < p < 0.99 else scaled(x, p)

    def scaled(x, p):
        return x.masked_fill(torch.rand(x.shape) < p + 0.016, 0) / (1 - p)

    def plain(x, p, training):
        return F.dropout(x, p, training)

    # Twice the level's change of 0.016 standard deviations is what is looked for: at p=1/2 this.
    level = Level("rates", 0.016, 0.12, 0.08, 3e3, 1 << 15, 1 << 15, 1 << 19)
    comparison = compare_laws(plain, more, level)
    rates = [f"rate, float32, p={p}" for p in ("0.001", "0.00333", "0.1", "0.5", "0.9")]
    assert set(rates) <= differing(comparison, "law")
    assert found(comparison, "rate, float32, p=0.5").sees <= 0.0164
    assert not found(comparison, "rate, float32, p=0.999").differs
    assert float(found(comparison, rates[2]).b) == pytest.approx(0.116, abs=2.4e-3)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("fault", "aspects"),
    [
        (lambda drop: drop.roll(1, -1) & drop, {"rate, float32, p=0.5"}),
        (lambda drop: _exactly_half(drop), {"spread of the count, p=0.5"}),
        (
            lambda drop: _uneven(_tied(drop)),
            {"pairs along memory that differ, p=0.5", "rate in places modulo 16, p=0.5"},
        ),
        (
            lambda drop: _alike_two_apart(drop),
            {"pairs along axes that differ, p=0.5"},
        ),
    ],
    ids=["rate", "spread", "pairs and places", "channels two apart"],
)
def test_distributions_that_differ_in_one_way_are_told_apart(fault, aspects):
    def broken(x, p, training):
        if not training:
            return x
        drop = torch.rand(x.shape) < p
        # At p=1/2 and on many elements only: so that the rest is as in the other.
        drop = fault(drop) if p == 0.5 and x.dim() == 4 else drop
        return x.masked_fill(drop, 0) / (1 - p) if p < 1 else x * 0

    def right(x, p, training):
        if not training:
            return x
        return x.masked_fill(torch.rand(x.shape) < p, 0) / (1 - p) if p < 1 else x * 0

    a, b = (partial(function, p=0.5) for function in (right, broken))
    assert aspects <= differing(compare_laws(a, b), "law")


def _tied(drop):
    """Every second element copies its neighbour, half of the time."""
    flat = drop.reshape(-1, 2)
    copied = torch.where(torch.rand(len(flat)) < 0.5, flat[:, 0], flat[:, 1])
    return torch.stack([flat[:, 0], copied], dim=1).reshape(drop.shape)


def _alike_two_apart(drop):
    """The last two of each four channels copy the first two."""
    if drop.shape[1] % 4:
        return drop
    fours = drop.unflatten(1, (-1, 4))
    return torch.cat([fours[:, :, :2], fours[:, :, :2]], dim=2).reshape(drop.shape)


def _exactly_half(drop):
    order = torch.randperm(drop.numel()).reshape(drop.shape)
    return order < drop.numel() // 2


def _uneven(drop):
    flat = drop.reshape(-1, 16).clone()
    flat[:, 3] |= torch.rand(len(flat)) < 0.2
    flat[:, 4] &= torch.rand(len(flat)) > 0.2
    return flat.reshape(drop.shape)


@pytest.mark.integration
def test_drop_path_taken_for_plain_dropout_has_another_law():
    comparison = compare(nn.Dropout(0.5), DropPath(0.5), level=FAST, spec="plain")
    assert "spread of the count, p=0.5" in differing(comparison, "law")
    assert "pairs along axes that differ, p=0.5" in differing(comparison, "law")
    assert "axis-independence" in differing(comparison, "check")
    # The rate is the same, and the test of it knows nothing of how elements depend on each other.
    assert found(comparison, "rate, float32, p=0.5").differs is False


@pytest.mark.integration
def test_two_of_one_law_are_the_same_whatever_that_law_is():
    # Elements of a sample share a bit: a test for independent ones would report a difference.
    comparison = compare_laws(DropPath(0.5), DropPath(0.5), spec="plain", seed=3)
    assert differing(comparison) == set()


@pytest.mark.integration
def test_two_of_different_kinds_are_compared_in_the_checks_of_both():
    a, b = resolve(nn.Dropout(0.5)), resolve(nn.AlphaDropout(0.5))
    checks = frozenset([*CALLS_DIFFER, "kept-scale", "alpha-moments"])
    comparison = compare_subjects(a, b, level=TINY, seed=0, only=checks)
    assert found(comparison, "what it claims to be").differs
    assert "alpha-moments" in {result.rule.name for result in comparison.b.checks}
    aspects = {row.aspect for row in comparison.rows if row.group == "check"}
    assert aspects == checks - {"alpha-moments"}


@pytest.mark.slow
def test_a_compiled_dropout_has_the_same_law_and_mask():
    def eager(x, training):
        return F.dropout(x, 0.5, training)

    compiled = torch.compile(eager, backend="aot_eager", dynamic=True)
    a, b = (partial(_with_p, f, p=0.5) for f in (eager, compiled))
    comparison = compare(a, b, level=TINY)
    assert differing(comparison, "law") == set()
    assert found(comparison, "kept values, bfloat16, p=0.5").differs is False
    assert found(comparison, "mask for a seed").differs is False


def _with_p(f, x, p, training):
    return f(x, training)


@pytest.mark.slow
def test_torchs_compiled_bfloat16_dropout_drops_everything_at_a_high_p():
    # Inductor compares with p in bfloat16.
    level = Level("half", 0.03, 0.03, 0.04, 1e4, 1 << 16, 1 << 16, 1 << 19)
    comparison = compare(nn.Dropout(0.999), resolve(nn.Dropout(0.999), compile=True), level=level)
    assert found(comparison, "rate, bfloat16, p=0.999").b.startswith("1")
    assert found(comparison, "rate, bfloat16, p=0.999").differs
    assert found(comparison, "rate, float32, p=0.999").differs is False
    assert found(comparison, "dtype-rate").differs


def test_an_instance_is_compared_at_its_own_p():
    comparison = compare_laws(nn.Dropout(0.3), Below)
    laws = [row for row in comparison.rows if row.group == "law"]
    assert {row.aspect.partition("p=")[2] for row in laws} == {"0.3"}
    assert "at p=0.3, like the other" in comparison.b.description
    assert differing(comparison, "law") == set()
    assert found(comparison, "p it can be verified at").differs is False


def test_two_instances_of_different_p_differ_in_rate_and_scale():
    comparison = compare_laws(nn.Dropout(0.3), nn.Dropout(0.4))
    assert {
        "p it can be verified at",
        "rate, float32, its own p",
        "rate, bfloat16, its own p",
        "kept values, float32, its own p",
    } <= differing(comparison)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_instances_without_chance_are_compared_in_what_they_do(p):
    comparison = compare(nn.Dropout(p), Below(p), level=FAST)
    assert [row for row in comparison.rows if row.group == "law"] == []
    # torch raises for complex and integer inputs, at p=0 too.
    others = {row.aspect for row in comparison.differences if row.severity == "error"}
    assert others <= {"dtype out, complex64 in", "dtype out, int64 in"}


def test_kept_values_that_are_rounded_otherwise_are_the_same_and_other_scales_are_not():
    def divided(x, p, training):
        return x.masked_fill(torch.rand(x.shape) < p, 0) / (1 - p) if training and p < 1 else x * 0

    def divided_by_keep(x, q, training):
        return divided(x, 1 - q, training)

    def off(x, p, training):
        return divided(x, p, training) * 1.00001 if training else x * 0

    def plain(x, p, training):
        return F.dropout(x, p, True) if training else x * 0

    plain, off = (partial(function, p=0.1) for function in (plain, off))
    # A subject is taken as it is.
    subject = resolve(divided_by_keep, keep_prob="q")
    same = compare_laws(plain, subject, TINY)
    assert differing(same, "law") == set()
    assert found(same, "kept values, float32, p=0.1").differs is False
    row = found(compare_laws(plain, off, TINY), "kept values, float32, p=0.1")
    assert row.differs
    assert row.b == "1.11112 x"


def test_calls_that_repeat_each_other_are_no_sample():
    def one_mask(x, p, training):
        generator = torch.Generator().manual_seed(0)
        return x.masked_fill(torch.rand(x.shape, generator=generator) < p, 0) if training else x

    comparison = compare_laws(one_mask, one_mask)
    (row,) = (row for row in comparison.rows if row.group == "law")
    assert row.differs is None
    assert "train-stochastic fails" in row.a
    assert not comparison.same
    assert "1 not compared: no verdict." in render_comparison(comparison)


# Whatever the target does


def _exits(x, p, training):
    raise SystemExit(3)


def _returns_none(x, p, training):
    return None


def _returns_numpy(x, p, training):
    return x.numpy()


def _of_another_shape(x, p, training):
    return x.reshape(-1)


def _all_nan(x, p, training):
    return x * float("nan")


def _fails_at_random(x, p, training):
    if float(torch.rand(())) < 0.3:
        raise ValueError("unlucky")
    return F.dropout(x, p, training)


def _changes_global_state(x, p, training):
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.manual_seed(1)
    return F.dropout(x, p, training)


def _sparse(x, p, training):
    return x.to_sparse()


@pytest.mark.parametrize(
    "target",
    [
        _exits,
        _returns_none,
        _returns_numpy,
        _of_another_shape,
        _all_nan,
        _fails_at_random,
        _changes_global_state,
        _sparse,
    ],
)
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


def test_a_target_that_is_none_is_an_error_of_the_caller():
    with pytest.raises(TargetError):
        compare(nn.Dropout, "torch.nn:NoSuchDropout", level=FAST)


# The tests themselves


@pytest.mark.parametrize(
    "pooled",
    [np.arange(10.0), np.array([0.0, 0, 0, 0, 1, 1, 1, 2, 2, 5]), np.array([0.0] * 6 + [1] * 4)],
    ids=["distinct", "ties", "two values"],
)
@pytest.mark.parametrize("test", [split_p_value, location_p_value, spread_p_value])
def test_a_p_value_is_as_rare_as_it_says_over_all_ways_to_deal(pooled, test):
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
        ([0, 1, 2, 3], [0, 1, 2, 3], 1.0),
        ([0, 1, 2, 3], [4, 5, 6, 7], 2 / 70),  # of as many ways to choose four of eight
        ([0, 1, 2, 7], [4, 5, 6, 3], 2 * 17 / 70),
        # Six of eight are equal: the cut is at those that are larger, or at least as large.
        ([0, 0, 0, 0], [0, 0, 1, 1], 2 * 15 / 70),
        ([1, 1, 1, 1], [1, 1, 0, 0], 2 * 15 / 70),
    ],
)
def test_the_p_value_of_a_split(a, b, p_value):
    a, b = np.array(a, dtype=float), np.array(b, dtype=float)
    assert split_p_value(a, b) == pytest.approx(p_value)
    assert split_p_value(b, a) == pytest.approx(p_value)


def test_counts_of_one_binomial_are_told_apart_no_more_often_than_stated():
    generator = np.random.default_rng(0)
    for p, size in ((0.5, 1000), (0.001, 1000), (0.9, 30)):
        counts = generator.binomial(size, p, (300, 2, UNITS)).astype(float)
        for test in (location_p_value, spread_p_value):
            alarms = sum(test(a, b) < 0.05 for a, b in counts)
            assert alarms <= binom.isf(1e-6, 300, 0.05)


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


def test_a_shift_is_seen_by_few_units_only_where_they_can_tell():
    assert shift_seen(4, 1e-3) == math.inf
    # All of ten are above the cut, 99 times in 100: 0.99 ** (1 / 10) of a normal distribution.
    assert shift_seen(10, 2 / math.comb(20, 10)) == pytest.approx(2 * norm.ppf(0.99**0.1))


# As data and as text


def test_the_data_are_json(torch_and_ours):
    data = json.loads(json.dumps(torch_and_ours.to_dict(), allow_nan=False))
    assert data["same"] is False
    assert data["a"]["target"] == "torch.nn.modules.dropout:Dropout"
    assert len(data["rows"]) == len(torch_and_ours.rows)
    assert {row["group"] for row in data["rows"]} == {"policy", "check", "law"}
    aspects = [(row["group"], row["aspect"]) for row in data["rows"]]
    assert len(aspects) == len(set(aspects))


@pytest.mark.parametrize("width", [None, 160, 100, 72, 40])
def test_what_differs_comes_first_and_then_the_same(torch_and_ours, width):
    text = render_comparison(torch_and_ours, width)
    lines = text.splitlines()
    if width is not None:
        assert max(map(len, lines)) <= width
    flat = " ".join(text.split())
    count = 11 if drops_complex_numbers() else 12
    marks = ("inf where dropped", "wrong p, nan", "the same:", f"{count} differences in")
    assert [*marks] == sorted(marks, key=flat.index)
    assert text.count("the same:") == 1
    if width is None:
        (line,) = (line for line in lines if line.startswith("DIFFERS  inf where dropped"))
        assert line.split()[-2:] == ["NaN", "0"]


def test_style_leaves_the_characters_as_they_are(torch_and_ours):
    styled = render_comparison(torch_and_ours, 100, styled=True)
    assert "\x1b[" in styled
    plain = re.sub(r"\x1b\[[0-9;]*m", "", styled)
    assert plain == render_comparison(torch_and_ours, 100)


def test_hostile_text_steers_no_terminal(torch_and_ours):
    bad = "\x1b[2J\nx\ty\x00" + "é" * 300
    row = Row("policy", bad, bad, bad, True, "error")
    hostile = Comparison(
        replace(torch_and_ours.a, target=bad, description=bad),
        torch_and_ours.b,
        (row, replace(row, aspect="b", differs=None), replace(row, aspect="c", differs=False)),
        1e-6,
    )
    for width in (None, 100, 40):
        text = render_comparison(hostile, width)
        assert "\x1b" not in text
        assert "\x00" not in text


def test_a_side_that_fails_is_short_and_readable(torch_and_ours):
    failed = "skipped: not checked: kept-scale failed"
    skips = [Row("check", f"check-{i}", failed, f"passes: {'x ' * 40}", None, "error")
             for i in range(34)]  # fmt: skip
    odd = Row("law", "all", "few-masks fails", "not looked at", None, "error")
    kept = [Row("law", f"kept values, p={i}", "1 x", "2 x", True, "error") for i in range(24)]
    wrong = [
        Row("policy", f"wrong p, {i}", "accepted", "refused", True, "advice") for i in range(2)
    ]
    one = replace(torch_and_ours.a, checks=(r.ERROR, r.ADVICE))
    comparison = Comparison(one, torch_and_ours.b, (*kept, *wrong, *skips, odd), 1e-6)
    text = render_comparison(comparison)
    assert "   fails 1 check: p-one-zeros\n" in text
    assert text.count("kept values") == 2
    assert text.count("wrong p") == 2
    assert "and 22 more like these: -v lists them\n" in text
    assert (
        "not compared: 34, since a: kept-scale failed: "
        "check-0, check-1, check-2, check-3, check-4 and 29 more\n"
    ) in text
    assert "not compared: 1, since a: few-masks fails; b: not looked at: all\n" in text
    assert max(map(len, text.splitlines())) < 200
    whole = render_comparison(comparison, detail="checks")
    assert whole.count("kept values") == 24
    assert "check-33" in whole
    assert "more" not in whole
    assert render_comparison(comparison, detail="quiet") == (
        "26 differences in 0.0 s, 24 of them in results.\n"
    )


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
NARROW = f"""{HEAD}\
DIFFERS  output at p=1
   a  NaN
   b  zeros
differs  wrong p, 1.5
   a  accepted
   b  refused when built, Error

the same: 1 of 3 policies; all 1 checks; 3 of 4 distribution tests
not compared: 1, since a: NaN; b: 1: mean of y, p=0.5
sees: a difference of 0.001 to 0.002 in rate; 0.5 in spread of the
      count

2 differences in 1.5 s, 1 of them in results.
"""


# A column needs 22; the label, the aspect and the gaps take 26.
@pytest.mark.parametrize(
    ("width", "expected"), [(None, WHOLE), (120, WHOLE), (72, WHOLE), (69, NARROW)]
)
def test_a_comparison_as_text(width, expected):
    assert render_comparison(comparison_of(ADVICE, ONE, *SAME, UNSEEN), width) == expected


def test_a_table_begins_where_each_side_has_22_columns():
    shown = [render_comparison(comparison_of(ONE, ADVICE), width) for width in (69, 70)]
    assert ["   a  NaN" in text.splitlines() for text in shown] == [True, False]


def test_a_side_that_says_nothing_has_a_column():
    lines = render_comparison(comparison_of(replace(ONE, a=""))).splitlines()
    assert f"{'':24}a  b" in lines
    assert "DIFFERS  output at p=1     zeros" in lines


def test_all_that_is_the_same_is_named_where_everything_is_listed():
    text = render_comparison(comparison_of(*SAME, SAME[1]), detail="checks")
    assert "the same: all 1 policies: modes; all 2 checks; all 3 distribution tests: " in text
    assert ": rate (2), spread of the count\n" in text
    assert text.endswith("\n\nno difference in 1.5 s: the same.\n")


def test_what_is_long_wraps_within_its_column():
    long = replace(ONE, aspect="an aspect " * 5 + "end", a="left " * 10, b="right " * 10)
    lines = render_comparison(comparison_of(long), 100).splitlines()
    at = lines.index(next(line for line in lines if line.startswith("DIFFERS")))
    # 100 less 45 for the label, the aspect and gaps, less another gap: 26 for a, 27 for b.
    assert lines[at : at + 3] == [
        "DIFFERS  an aspect an aspect an aspect an    left left left left left    right right right"
        " right",
        "         aspect an aspect end                left left left left left    right right right"
        " right",
        f"{'':73}right right",
    ]
    (line,) = (
        line
        for line in render_comparison(comparison_of(long)).splitlines()
        if line.startswith("DIFFERS")
    )
    # Nothing wraps without a width: a side of up to 60 columns has a column, as the aspect has.
    assert line == f"DIFFERS  {long.aspect}  {long.a.strip():<50}  {long.b.strip()}"
    longer = render_comparison(comparison_of(replace(long, a="x" * 61), ONE))
    assert f"{'x' * 61}  right" in longer
    assert f"{'NaN':<60}  zeros\n" in longer


def test_lines_have_22_columns_however_narrow_the_terminal_is():
    text = render_comparison(comparison_of(a=(r.ERROR,)), 10)
    assert "   module class, built as\n   Drop(p=p)\n   fails 1 check: p-one-\n" not in text
    assert "   module class, built as\n   Drop(p=p)\n" in text


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


def test_errors_of_a_side_are_named_and_advice_is_not():
    text = render_comparison(comparison_of(ONE, ADVICE, a=(r.ERROR, r.ADVICE)), styled=True)
    assert "\x1b[31mfails 1 check: p-one-zeros\x1b[0m\n" in text
    assert text.count("fails") == 1
    assert "\x1b[1;31mDIFFERS\x1b[0m" in text
    assert "\x1b[33mdiffers\x1b[0m" in text


@pytest.mark.parametrize(("count", "hidden"), [(2, 0), (3, 1)])
def test_of_one_aspect_two_rows_are_shown(count, hidden):
    rows = [replace(ONE, aspect=f"output, {i}") for i in range(count)]
    text = render_comparison(comparison_of(*rows, replace(ADVICE, aspect="output, x")))
    assert text.count("DIFFERS") == 2
    assert text.count("differs") == 1  # of another severity
    assert (f"and {hidden} more like these: -v lists them\n" in text) is (hidden > 0)
    assert ("more like these" in text) is (hidden > 0)


def test_a_comparison_as_data():
    row = replace(ONE, p_value=0.25, sees=0.5)
    comparison = comparison_of(row, a=(r.ERROR,), seconds=1.23456)
    data = comparison.to_dict()
    rows = data.pop("rows")
    built = "module class, built as Drop(p=p)"
    assert data == {
        "schema": 1,
        "same": False,
        "complete": True,
        "level": "quick",
        "seed": 7,
        "false_alarm_rate": 1e-6,
        "a": {"target": "a.py:A", "description": built, "passed": False,
              "findings": ["p-one-zeros"]},
        "b": {"target": "b.py:B", "description": built, "passed": True,
              "findings": ["wrong-p-named"]},
        "seconds": 1.235,
    }  # fmt: skip
    assert rows == [
        {"group": "policy", "aspect": "output at p=1", "a": "NaN", "b": "zeros", "differs": True,
         "severity": "error", "sees": 0.5, "p_value": 0.25}
    ]  # fmt: skip


def test_an_empty_comparison_renders(torch_and_ours):
    empty = Comparison(torch_and_ours.a, torch_and_ours.b, (), 1e-6, complete=False)
    assert "interrupted" in render_comparison(empty, 80)


def test_what_is_kept_does_not_depend_on_what_was_drawn_before():
    def sometimes_rounded_up(x, p, training):
        y = F.dropout(x, p, training)
        return torch.where(torch.rand(x.shape) < 0.02, y * (1 + 2**-23), y)

    ctx = Context(resolve(sometimes_rounded_up), TINY, 0, 1e-6, 10)
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(kept_values(ctx, 0.5, torch.float32))
    assert not torch.equal(found[0].low, found[0].high)
    assert torch.equal(found[0].high, found[1].high)
    other = kept_values(Context(ctx.subject, TINY, 1, 1e-6, 10), 0.5, torch.float32)
    assert not torch.equal(found[0].high, other.high)


@pytest.mark.parametrize(
    ("ulps", "said"),
    [
        (0, "x / (1 - p) to 0 ulp"),
        (2, "x / (1 - p) to 2 ulp"),
        (3, "x / (1 - p) to 3 ulp"),  # up and down, so that the range is twice as large
        (8, "not a function of x"),
    ],
)
def test_how_far_kept_values_may_be_apart(ulps, said):
    def rounded_both_ways(x, p, training):
        y = F.dropout(x, p, training)
        bits = y.view(torch.int32) + ulps * (
            2 * torch.randint(0, 2, y.shape, dtype=torch.int32) - 1
        )
        return torch.where(y == 0, y, bits.view(torch.float32))

    ctx = Context(resolve(rounded_both_ways), TINY, 0, 1e-6, 10)
    found = kept_values(ctx, 0.5, torch.float32)
    assert (found if isinstance(found, str) else found.said) == said


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


class Refuses(nn.Module):
    """At the call, not when it is built."""

    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        return F.dropout(x, self.p, self.training)


class OwnError(LookupError):
    pass


def _raises(error):
    raise error


def _torchs(x, training):
    torch.rand(3)


def _numpys(x, training):
    np.random.rand()


def _pythons(x, training):
    random.random()


def _in_eval(x, training):
    if not training:
        torch.rand(3)


def _in_training(x, training):
    if training:
        x.mul_(2)


def _written(x, training):
    x.mul_(2)


def _written_in_eval(x, training):
    if not training:
        x.mul_(2)


# Two masks of 4096 ones.
ALL_KEPT = hashlib.blake2b(b"\xff" * 1024, digest_size=4).hexdigest()


@pytest.mark.parametrize(
    ("aspect", "target", "expected"),
    [
        ("what it claims to be", nn.Dropout2d, "dropout2d"),
        ("p it can be verified at", nn.Dropout, "any"),
        ("p it can be verified at", nn.Dropout(0.3), "p=0.3"),
        ("modes", nn.Dropout, "training and eval"),
        ("modes", lambda x, p: x, "training only"),
        ("output at p=0", returns(lambda x: x.clone()), "y equals x"),
        ("output at p=0", returns(lambda x: x * math.nan), "NaN"),
        ("output at p=0", returns(lambda x: x.where(x > 0, math.nan)), "some NaN"),
        ("output at p=0", returns(lambda x: x + 1), "other values"),
        ("output at p=1", nn.Dropout, "zeros"),
        ("output at p=1", returns(lambda x: x.clone()), "y equals x"),
        ("gradient at p=0", nn.Dropout(0.0), "the incoming gradient"),
        ("gradient at p=1", nn.Dropout(1.0), "zeros"),
        ("gradient at p=1", returns(lambda x: x * 2), "other values"),
        ("gradient at p=1", returns(lambda x: x.detach()), "none recorded"),
        (
            "gradient at p=1",
            returns(lambda x: torch.ones(x.shape, requires_grad=True) * 2),
            "not connected to x",
        ),
        ("wrong p, 1.5", Below, "refused when built, ValueError"),
        ("wrong p, 1.5", Refuses, "refused at the call, ValueError"),
        ("wrong p, 1.5", masked, "accepted"),
        ("wrong p, 1.5", lambda x, p, training: F.dropout(x, p) if training else x,
         "refused at the call, ValueError"),
        ("wrong p, 1.5", returns(lambda x: _raises(OwnError())),
         "refused at the call, LookupError"),
        ("values in eval", masked, "y equals x"),
        ("values in eval", multiplied, "some NaN"),
        ("values in eval", returns(lambda x: x.where(x != 0, 1)), "some NaN"),
        ("object in eval", masked, "x itself"),
        ("object in eval", returns(lambda x: x.view(-1)), "a view of x"),
        ("object in eval", returns(lambda x: x.clone()), "a new tensor"),
        ("dtype out, float16 in", nn.Dropout(0.3), "float16"),
        ("dtype out, float16 in", returns(lambda x: x.float()), "float32"),
        ("0-d input", masked, "a tensor of the shape of x"),
        ("empty input", nn.Dropout(0.3), "a tensor of the shape of x"),
        ("inf where dropped", masked, "0"),
        ("inf where dropped", multiplied, "NaN"),
        ("-inf where dropped", returns(lambda x: x), "neither 0 nor NaN"),
        (
            "inf where dropped",
            returns(lambda x: torch.where(torch.arange(len(x)) < 9, x - x, 0.0)),
            "0 or NaN",
        ),
        ("nan where dropped", masked, "0"),
        ("nan where dropped", multiplied, "NaN"),
        ("input after a call", moves(), "x is left as it was"),
        ("input after a call", moves(_in_training), "x is written in training"),
        ("input after a call", moves(_written_in_eval), "x is written in eval"),
        ("input after a call", moves(_written), "x is written in training and eval"),
        ("generators moved in training", moves(), "none"),
        ("generators moved in training", moves(_torchs), "torch's"),
        ("generators moved in training", moves(_numpys, _pythons), "NumPy's and Python's"),
        ("generators moved in training", moves(_in_eval), "none"),
        ("generators moved in eval", moves(_in_eval), "torch's"),
        ("words of torch's generator", moves(), "none"),
        ("words of torch's generator", moves(lambda x, _: torch.rand(3)), "3 a call"),
        ("words of torch's generator", masked, "1 an element"),
        (
            "words of torch's generator",
            moves(lambda x, _: torch.randint(9, (2 + 3 * x.numel(),))),
            "2 a call and 3 an element",
        ),
        (
            "words of torch's generator",
            moves(lambda x, _: torch.rand(8 * len(x))),
            "8 an element",
        ),
        (
            "words of torch's generator",
            moves(lambda x, _: torch.randint(9, (8 * len(x) + 56,))),
            "56 a call and 8 an element",
        ),
        (
            "words of torch's generator",
            moves(lambda x, _: torch.rand(9 * len(x))),
            "seeds it, or moves it otherwise",
        ),
        (
            "words of torch's generator",
            moves(lambda x, _: torch.rand(1 if len(x) < 5000 else 5)),
            "1 for 4096, 5 for 8192, 5 for 12288",
        ),
        (
            "words of torch's generator",
            moves(lambda x, _: torch.manual_seed(5)),
            "seeds it, or moves it otherwise",
        ),
        ("mask for a seed", moves(), f"mask {ALL_KEPT}"),
        ("mask in other layouts", masked, "one mask for all"),
        (
            "mask in other layouts",
            returns(lambda x: x.masked_fill(torch.rand_like(x) < 0.5, 0)),
            "other masks: transposed, channels_last",
        ),
    ],
)  # fmt: skip
def test_what_a_policy_says(aspect, target, expected):
    with fresh_modes():
        assert said(aspect, target) == expected


def test_a_mask_that_no_seed_governs_is_said_to_be_none():
    own = np.random.default_rng(0)

    def target(x, p, training):
        return x * torch.from_numpy(own.random(tuple(x.shape)) >= p)

    for aspect in ("mask for a seed", "mask in other layouts"):
        assert said(aspect, target) == "not governed by torch's seed"
    torch.manual_seed(2026)
    bits = np.packbits(torch.rand(2, 4096).numpy() >= 0.5)
    name = hashlib.blake2b(bits.tobytes(), digest_size=4).hexdigest()
    assert said("mask for a seed", masked) == f"mask {name}" != f"mask {ALL_KEPT}"


@pytest.mark.parametrize(
    ("aspect", "target", "why"),
    [
        ("output at p=0", nn.Dropout(0.3), r"the target has p=0\.3"),
        ("output at p=1", nn.Dropout(0.3), r"the target has p=0\.3"),
        ("gradient at p=0", nn.Dropout(0.3), r"the target has p=0\.3"),
        ("gradient at p=1", from_numpy(masked), "no gradient"),
        ("wrong p, nan", nn.Dropout(0.3), "the target's p is given"),
        ("values in eval", lambda x, p: x, "no eval mode"),
        ("generators moved in eval", lambda x, p: x, "no eval mode"),
    ],
)
def test_a_policy_that_does_not_apply_says_why(aspect, target, why):
    with pytest.raises(Skip, match=why):
        said(aspect, target)


def test_whether_there_is_a_gradient():
    assert said("gradient", nn.Dropout) == "has one"
    assert said("gradient", from_numpy(masked)) == "has none"


# How a target's code is run


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (Skip("why"), "does not apply"),
        (Fault("the message"), "the message"),
        (ValueError("v"), "raises ValueError"),
        (OwnError("o"), "raises LookupError"),
        (SystemExit(3), "raises SystemExit"),
    ],
)
def test_what_is_observed_of_what_is_raised(raised, seen):
    observer = Observer(World(), None)
    assert observer.observe(lambda: _raises(raised)) == seen
    assert observer.observe(lambda: 7) == 7


def test_the_cause_of_a_fault_is_what_the_target_raised():
    def run():
        try:
            raise OwnError("o")
        except OwnError as error:
            raise Fault("a call raised it") from error

    assert Observer(World(), None).observe(run) == "raises LookupError"


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit])
def test_ctrl_c_passes_an_observation(error):
    with pytest.raises(error):
        Observer(World(), None).observe(lambda: _raises(error()))


def test_an_observation_ends_and_its_changes_are_undone():
    observer = Observer(World(), 0.05)
    assert observer.observe(lambda: time.sleep(3600)) == "does not end within 0.05 s"
    assert Observer(World(), 60).observe(lambda: torch.set_default_dtype(torch.float64)) is None
    assert torch.get_default_dtype() == torch.float32


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


def test_a_unit_is_as_large_as_its_rate_needs_and_the_level_allows():
    plan = plan_of((0.5, 0.5), level=replace(FAST, most=1 << 30))
    samples, channels, rows, columns = plan.shape(torch.float32)
    assert (samples, channels, columns) == (4, 16, 16)
    needed = (shift_seen(UNITS, plan.alpha) / (2 * FAST.rate)) ** 2 / 1024
    assert rows % 2 == 0
    assert needed <= rows < needed + 2
    large = plan_of((0.5, 0.5), level=replace(FAST, rate=1e-4, rough_rate=2e-2, most=1 << 23))
    assert large.shape(torch.float32) == (4, 16, 32, 16)  # 2**23 elements, 256 units
    assert (
        large.shape(torch.float16)[2]
        == plan_of((0.5, 0.5), level=replace(FAST, rate=2e-2, most=1 << 30)).shape(torch.float32)[2]
    )


def test_the_p_that_are_compared():
    def points(a, b):
        return points_of(plan_of(a=a, b=b).contexts)

    grid = (0.001, 1 / 300, 0.1, 0.5, 0.9, 0.99, 0.999)
    assert points(nn.Dropout, nn.Dropout) == tuple((p, p) for p in grid)
    assert points(nn.Dropout2d, nn.Dropout) == tuple((p, p) for p in grid if p != 0.99)
    uniform = torchdropout.nn.UniformDropout  # at fewer p
    few = tuple((p, p) for p in (0.1, 0.5, 0.9))
    assert points(uniform, nn.Dropout) == points(nn.Dropout, uniform) == few
    assert points(nn.Dropout(0.3), nn.Dropout) == ((0.3, 0.3),)
    assert points(nn.Dropout, nn.Dropout(0.3)) == ((0.3, 0.3),)
    assert points(nn.Dropout(0.3), nn.Dropout(0.4)) == ((0.3, 0.4),)
    assert points(nn.Dropout(0.3), nn.Dropout(0.0)) == points(nn.Dropout(1.0), nn.Dropout) == ()


def test_how_points_are_named_and_which_is_the_main_one():
    assert label_of((0.3, 0.3)) == "p=0.3"
    assert label_of((1 / 300, 1 / 300)) == "p=0.00333"
    assert label_of((0.3, 0.4)) == "its own p"
    assert plan_of((0.1, 0.1), (0.5, 0.5)).main == (0.5, 0.5)
    assert plan_of((0.1, 0.1), (0.9, 0.9)).main == (0.1, 0.1)


@pytest.mark.parametrize(
    ("a", "b", "shown"),
    [("NaN", "NaN", ("NaN", "NaN", False)), ("NaN", None, ("NaN", "0.5", True))],
)
def test_the_row_of_what_could_not_be_measured(a, b, shown):
    units = Units(4, {"zeros": [1.0, 3.0]})
    row = unmeasured("law", "rate", a, b or units)
    assert (row.a, row.b, row.differs) == shown
    assert (row.group, row.aspect, row.severity) == ("law", "rate", "error")


# The statistics of a unit


@pytest.mark.parametrize(("axis", "lag"), [(1, 1), (1, 2), (2, 1), (2, 3), (3, 2), (3, 3)])
def test_pairs_that_differ_are_disjoint_and_a_lag_apart(axis, lag):
    bits = np.random.default_rng(0).random((3, 5, 7, 4)) < 0.5
    moved = np.moveaxis(bits, axis, 1)
    size = moved.shape[1] // (2 * lag) * 2 * lag
    firsts = [i for i in range(size) if i // lag % 2 == 0]
    expected = [
        np.mean([unit[i] != unit[i + lag] for i in firsts]) if firsts else 0 for unit in moved
    ]
    assert _shares(bits, [(axis, lag)])[:, 0].tolist() == pytest.approx(expected)


def test_a_row_of_several_tests_shows_the_most_extreme():
    generator = np.random.default_rng(0)
    a = generator.normal(size=(UNITS, 3))
    b = generator.normal(size=(UNITS, 3)) + np.array([0, 0.4, 0])
    row = _worst_row("aspect", ["x", "y", "z"], a, b, plan_of((0.5, 0.5)), 0.25)
    chance = location_p_value(a[:, 1], b[:, 1])
    assert row == Row(
        "law", "aspect", f"y: {a[:, 1].mean():.6g}", f"{b[:, 1].mean():.6g}", False, "error",
        0.25, 3 * chance,
    )  # fmt: skip
    same = _worst_row("aspect", ["x", "y"], a[:, :2], a[:, :2], plan_of((0.5, 0.5)), 0.25)
    assert same.p_value == 1
    assert _worst_row("aspect", ["x"], a[:, :1], a[:, :1] + 9, plan_of((0.5, 0.5)), 1).differs


def test_the_statistics_of_a_unit_are_those_of_its_call():
    def target(x, p, training):
        return x.masked_fill(torch.arange(x.numel()).reshape(x.shape) % 4 == 0, 0) * 2

    ctx = Context(resolve(target), TINY, 0, 1e-6, 10)
    shape = (2, 4, 2, 4)
    x = ctx.normal(*shape)
    y = target(x, 0.25, True)
    units = draw(ctx, 0.25, torch.float32, shape, "a", keep=True)
    assert units.size == 64
    assert units.said == "0.25"
    assert set(units["zeros"]) == {16.0}
    for name, value in (("mean", y.sum()), ("moment", (x * y).sum()), ("square", (y * y).sum())):
        assert len(units[name]) == UNITS
        assert units[name] == pytest.approx(float(value), rel=1e-5)
    assert (units.bits == (y != 0).numpy()).all()
    assert draw(ctx, 0.25, torch.float32, shape, "a", keep=False).bits is None
    nan = Context(resolve(returns(lambda x: x * math.nan)), TINY, 0, 1e-6, 10)
    assert draw(nan, 0.25, torch.float32, shape, "a", keep=False) == "NaN"


def test_units_have_seeds_of_their_own_which_differ_between_sides():
    ctx = Context(resolve(nn.Dropout), TINY, 0, 1e-6, 10)
    drawn = [draw(ctx, 0.5, torch.float32, (4, 8), side, keep=True) for side in "aab"]
    assert (drawn[0].bits == drawn[1].bits).all()
    assert (drawn[0].bits != drawn[2].bits).any()
    assert (drawn[0].bits[0] != drawn[0].bits[1]).any()


def units_of(zeros, bits=None, size=64):
    """Units of one target with so many zeros each."""
    zeros = [float(count) for count in zeros]
    return Units(size, {"zeros": zeros, "mean": zeros}, bits)


def test_the_row_of_a_rate_says_how_many_elements_it_counts():
    generator = np.random.default_rng(0)
    few, many = generator.binomial(64, [[0.5], [0.75]], (2, UNITS))
    plan = plan_of((0.5, 0.5))
    row = _rate_row(units_of(few), units_of(many), "rate", plan, 0.5)
    assert (row.group, row.aspect, row.severity) == ("law", "rate", "error")
    assert row.a == f"{few.mean() / 64:.6g} of {64 * UNITS}"
    assert row.b == f"{many.mean() / 64:.6g}"
    assert row.sees == pytest.approx(shift_seen(UNITS, plan.alpha) * 0.5 / 8)
    assert row.p_value == location_p_value(few.astype(float), many.astype(float))
    assert row.differs is True
    same = _rate_row(units_of(few), units_of(few), "rate", plan, 0.1)
    assert (same.differs, same.p_value) == (False, 1.0)
    assert same.sees == pytest.approx(shift_seen(UNITS, plan.alpha) * 0.3 / 8)


def test_the_row_of_a_spread_shows_standard_deviations():
    counts = np.tile([30, 34], UNITS // 2)
    wide = np.tile([20, 44], UNITS // 2)
    plan = plan_of((0.5, 0.5))
    row = _row("spread", units_of(counts), units_of(wide), "zeros", plan, spread_p_value, _std)
    assert row.a == f"{counts.std(ddof=1):.4g} of 64"
    assert row.b == f"{wide.std(ddof=1):.4g} of 64"
    assert row.differs is True
    assert row.p_value == spread_p_value(counts.astype(float), wide.astype(float))
    mean = _row("mean", units_of(counts), units_of(wide), "mean", plan)
    assert (mean.a, mean.b, mean.differs) == ("0.5", "0.5", False)
    assert (mean.sees, mean.p_value) == (None, 1.0)


def test_the_rows_of_places_and_pairs_find_the_ones_that_differ():
    generator = np.random.default_rng(0)
    right, wrong = generator.random((2, UNITS, 4, 16, 4, 16)) < 0.5
    plan = plan_of((0.5, 0.5))
    flat = wrong.reshape(UNITS, -1)
    flat[:, 5::16] |= generator.random((UNITS, 256)) < 0.2
    row = _places_row(units_of([], right, 4096), units_of([], wrong, 4096), plan, "p=0.5")
    assert row.aspect == "rate in places modulo 16, p=0.5"
    assert row.differs is True
    dropped = 1 - right.reshape(UNITS, -1)[:, 5::16].mean()
    assert row.a == f"places 5: {dropped:.6g}"
    assert row.sees == pytest.approx(shift_seen(UNITS, plan.alpha) * 0.5 / 16)
    wrong[:, :, 2::4] = wrong[:, :, 0::4]
    memory, axes = _pair_rows(right, wrong, plan, "p=0.5")
    assert memory.aspect == "pairs along memory that differ, p=0.5"
    assert memory.a.startswith("lag ")
    assert axes.aspect == "pairs along axes that differ, p=0.5"
    assert axes.differs is True
    assert axes.a.startswith("axis 1, lag 2: ")
    # Pairs differ at a rate of 1/2, and there are 2048 of them in a unit.
    assert (
        axes.sees == memory.sees == pytest.approx(shift_seen(UNITS, plan.alpha) * 0.5 / 2048**0.5)
    )
    assert not any(row.differs for row in _pair_rows(right, right, plan, "p=0.5"))


def test_a_unit_that_no_multiple_of_16_fills_is_cut():
    bits = np.ones((UNITS, 20), dtype=bool)
    bits[:, 16:] = False
    units = units_of([], bits, 20)
    assert _places_row(units, units, plan_of((0.5, 0.5)), "p=0.5").a == "places 0: 0"


@pytest.mark.parametrize(
    ("returned", "seen"),
    [
        (lambda x: x * math.nan, "NaN"),
        (lambda x: torch.where(torch.arange(len(x)) == 70, math.nan, x), "NaN"),
        (lambda x: x.index_fill(0, torch.arange(3, len(x), 64), 0), "0 for some values, always"),
        (lambda x: x * 3, "3 x"),
        (lambda x: x * 2, "x / (1 - p) to 0 ulp"),
        (lambda x: torch.where(torch.arange(len(x)) < 64, x, 2 * x), "not a function of x"),
    ],
)
def test_what_is_said_of_kept_values(returned, seen):
    kept = kept_values(Context(resolve(returns(returned)), TINY, 0, 1e-6, 10), 0.5, torch.float32)
    assert (kept if isinstance(kept, str) else kept.said) == seen


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


def test_what_makes_calls_no_sample():
    def failed(*names):
        return r.target(*(r.check(name=name) for name in names))

    assert _calls_depend(failed("drop-rate")) == ""
    assert _calls_depend(failed("few-masks", "output-shape", "drop-rate")) == (
        "output-shape fails, few-masks fails"
    )
    assert _calls_depend(r.target(r.check("skip", name="few-masks"))) == ""


@pytest.mark.parametrize(
    ("a", "b", "fixed"),
    [
        (nn.Dropout, nn.Dropout, (None, None)),
        (nn.Dropout(0.3), nn.Dropout, (0.3, 0.3)),
        (nn.Dropout, nn.Dropout(0.3), (0.3, 0.3)),
        (nn.Dropout(0.3), nn.Dropout(0.4), (0.3, 0.4)),
    ],
)
def test_two_targets_are_compared_at_the_p_of_one(a, b, fixed):
    pair = _at_one_p(resolve(a), resolve(b))
    assert tuple(subject.fixed_p for subject in pair) == fixed
    for target, subject in zip((a, b), pair, strict=True):
        other = isinstance(target, type) and subject.fixed_p is not None
        assert subject.description.endswith("; at p=0.3, like the other") is other
        assert subject.spec.name == "plain"
        assert subject.build(0.3 if subject.fixed_p is None else subject.fixed_p).module is not None


@pytest.mark.parametrize("is_sample", [True, False])
def test_the_rows_of_a_comparison_in_order(monkeypatch, is_sample):
    kept, law = replace(ONE, aspect="kept"), replace(UNSEEN, aspect="rate")
    policies = (
        Policy("drawn", "error", lambda ctx: f"{torch.rand(()).item()}"),
        Policy("name", "advice", lambda ctx: ctx.subject.name),
        Policy("raises", "error", lambda ctx: _raises(OwnError())),
    )
    monkeypatch.setattr(run, "POLICIES", policies)
    monkeypatch.setattr(run, "compare_kept", lambda plan: [kept])
    monkeypatch.setattr(run, "compare_distributions", lambda plan: [law])
    plan = plan_of((0.5, 0.5), b=F.dropout)
    status = "ok" if is_sample else "fail"
    reports = (
        r.target(r.OK, r.SEES, r.ERROR),
        r.target(r.check(status, name="few-masks"), r.ERROR),
    )
    rows = list(run._rows(plan.contexts, reports, plan.observer, 1e-6))
    assert [row.aspect for row in rows] == [
        "drawn", "name", "raises", "kept", "drop-rate", "p-one-zeros",
        "rate" if is_sample else "all",
    ]  # fmt: skip
    # Each probe begins with a seed.
    assert [row.differs for row in rows[:3]] == [False, True, False]
    assert [row.severity for row in rows[:3]] == ["error", "advice", "error"]
    assert (rows[1].a, rows[1].b) == tuple(ctx.subject.name for ctx in plan.contexts)
    assert rows[2].a == rows[2].b == "raises LookupError"
    if not is_sample:
        assert (rows[-1].a, rows[-1].b) == ("not looked at", "few-masks fails")
        assert (rows[-1].group, rows[-1].differs, rows[-1].severity) == ("law", None, "error")


@pytest.mark.parametrize(
    ("interrupted", "error", "level", "rows", "complete"),
    [
        (False, None, TINY, 2, True),
        (False, None, "quick", 2, True),
        (False, KeyboardInterrupt(), TINY, 1, False),
        (True, None, TINY, 0, False),
    ],
)
def test_each_part_of_a_comparison_has_a_third_of_the_false_alarms(
    monkeypatch, interrupted, error, level, rows, complete
):
    asked, seen = [], []

    def check(subject, **how):
        asked.append((subject.name, how))
        return r.target(r.OK, name=subject.name, interrupted=interrupted and len(asked) == 2)

    def two(contexts, reports, observer, rate):
        seen.extend(
            (ctx.subject.name, ctx.level, ctx.seed, ctx.false_alarm_rate) for ctx in contexts
        )
        assert rate == 1e-6
        yield ONE
        if error:
            raise error
        yield UNSEEN

    monkeypatch.setattr(run, "check_subject", check)
    monkeypatch.setattr(run, "_rows", two)
    pair = (resolve(nn.Dropout), resolve(nn.AlphaDropout))
    found = compare_subjects(*pair, level=level, seed=3, false_alarm_rate=3e-6, timeout=5.0)
    how = {"level": level, "seed": 3, "progress": None, "timeout": 5.0, "only": None}
    names = [subject.name for subject in pair]
    assert asked == [(name, {**how, "false_alarm_rate": 1e-6}) for name in names]
    chosen = LEVELS[level] if level == "quick" else level
    assert seen == ([(name, chosen, 3, 1e-6) for name in names] if rows else [])
    assert found.rows == (ONE, UNSEEN)[:rows]
    assert [found.a.target, found.b.target] == names
    assert (found.complete, found.false_alarm_rate) == (complete, 3e-6)
    assert 0 <= found.seconds < 60


def test_the_rows_of_distributions_in_order(monkeypatch):
    plan = plan_of((0.1, 0.3), (0.5, 0.5))
    bits = np.random.default_rng(0).random((UNITS, 4, 16, 2, 16)) < 0.5
    drawn = []

    def fake(ctx, p, dtype, shape, side, keep):
        drawn.append((p, dtype, side))
        assert shape == plan.shape(dtype)
        assert keep is ((p, dtype) == (0.5, torch.float32))
        assert ctx is plan.contexts["ab".index(side)]
        if (dtype, side) == (torch.float16, "b"):
            return "NaN"
        values = [float(i % 7) for i in range(UNITS)]
        names = ("zeros", "mean", "moment", "square")
        return Units(64, dict.fromkeys(names, values), bits if keep else None)

    monkeypatch.setattr(distributions, "draw", fake)
    rows = list(distributions.compare_distributions(plan))
    expected = []
    for dtype in DTYPES:
        for p in ("its own p", "p=0.5"):
            expected.append(f"rate, {str(dtype).removeprefix('torch.')}, {p}")
            if dtype == torch.float32:
                kinds = ("spread of the count", "mean of y", "mean of x y", "mean of y^2")
                expected += [f"{kind}, {p}" for kind in kinds]
                if p == "p=0.5":
                    expected.append(f"rate in places modulo 16, {p}")
                    expected += [
                        f"pairs along {way} that differ, {p}" for way in ("memory", "axes")
                    ]
    assert [row.aspect for row in rows] == expected
    for row in rows:
        assert row.differs is ("float16" in row.aspect and "bfloat16" not in row.aspect)
    (nan, _) = (row for row in rows if row.differs)
    assert (nan.a, nan.b) == (f"{np.mean([i % 7 for i in range(UNITS)]) / 64:.6g}", "NaN")
    points = [(0.1, "a"), (0.3, "b"), (0.5, "a"), (0.5, "b")]
    assert drawn == [(p, dtype, side) for dtype in DTYPES for p, side in points]
    share = (0.1 * 0.9 / 64) ** 0.5  # at the p of the first target
    assert rows[-2].sees == pytest.approx(shift_seen(UNITS, plan.alpha) * share)
