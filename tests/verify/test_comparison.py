"""Two implementations side by side: what differs is listed, what does not is not."""

import hashlib
import re
import time
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import torchdropout.nn
from torchdropout.verify import compare
from torchdropout.verify.comparison import Comparison, Row
from torchdropout.verify.comparison.policies import POLICIES
from torchdropout.verify.comparison.run import _check_row, compare_subjects
from torchdropout.verify.comparison.text import render_comparison
from torchdropout.verify.context import Context, Skip
from torchdropout.verify.targets import resolve
from torchdropout.verify.world import fresh_modes
from verify import _reports as r
from verify._zoo import TINY


def compare_some(a, b, *checks, timeout=None):
    """`compare` by these checks alone."""
    one, other = resolve(a), resolve(b)
    only = frozenset(["output-shape", *checks])
    return compare_subjects(one, other, level=TINY, seed=0, only=only, timeout=timeout)


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
    torch_and_ours = compare(nn.Dropout, torchdropout.nn.Dropout, level=TINY)
    assert not torch_and_ours.same
    # Some versions of torch refuse complex numbers.
    assert differing(torch_and_ours) - {"dtype out, complex64 in"} == {
        *("wrong p, nan", "dtype out, int64 in", "inf where dropped", "-inf where dropped"),
        *("nan where dropped", "words of torch's generator", "mask for a seed"),
        *("mask in other layouts", "nonfinite-dropped", "layout-mask", "wrong-p-refused"),
    }
    aspects = [(row.group, row.aspect) for row in torch_and_ours.rows]
    assert len(aspects) == len(set(aspects))
    row = found(torch_and_ours, "inf where dropped")
    assert (row.a, row.b, row.severity) == ("NaN", "0", "error")
    assert found(torch_and_ours, "words of torch's generator").b.endswith(" a call")


@pytest.mark.integration
def test_two_of_different_kinds_are_compared_in_the_checks_of_both():
    checks = ("kept-scale", "alpha-moments")
    comparison = compare_some(nn.Dropout(0.5), nn.AlphaDropout(0.5), *checks)
    assert found(comparison, "what it claims to be").differs
    assert "alpha-moments" in {result.rule.name for result in comparison.b.checks}
    aspects = {row.aspect for row in comparison.rows if row.group == "check"}
    assert aspects == {"output-shape", "kept-scale"}


def test_an_instance_is_compared_at_its_own_p():
    comparison = compare_some(nn.Dropout(0.3), Below, "drop-rate")
    assert "at p=0.3, like the other" in comparison.b.description
    assert [row["p"] for row in comparison.b.checks[-1].figures["rates"]] == [0.3]
    assert found(comparison, "drop-rate").differs is False
    assert found(comparison, "p it can be verified at").differs is False
    assert found(compare_some(nn.Dropout(0.3), nn.Dropout(0.2)), "p it can be verified at").differs


def part_of_the_rate(part):
    return lambda x, p, training: F.dropout(x, p * part, training) * (1 - p * part) / (1 - p)


def test_a_rate_that_is_wrong_on_one_side_differs_and_on_both_is_not_told():
    half, third = part_of_the_rate(1 / 2), part_of_the_rate(1 / 3)
    one, both = (compare_some(half, b, "drop-rate") for b in (F.dropout, third))
    assert found(one, "drop-rate").differs
    assert found(both, "drop-rate").differs is None
    assert not both.same


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
    comparison = compare_some(partial(target, p=0.5), Below, "train-stochastic")
    assert comparison.complete
    assert not comparison.same
    render_comparison(comparison, width=80)
    assert torch.get_default_dtype() == before[0]
    assert torch.is_grad_enabled() == before[1]
    assert torch.equal(torch.random.get_rng_state(), before[2])


@pytest.mark.integration
def test_a_target_that_hangs_is_left_after_the_time_limit():
    def sleeps(x, p, training):
        if p == 1 or x.dtype == torch.float64:
            time.sleep(3600)
        return F.dropout(x, p, training)

    comparison = compare_some(F.dropout, sleeps, "p-one-zeros", timeout=0.5)
    assert found(comparison, "dtype out, float64 in").b == "does not end within 0.5 s"
    row = found(comparison, "p-one-zeros")
    assert (row.differs, row.b) == (None, "stopped: not checked: it did not end within 0.5 s")


def test_ctrl_c_ends_it_with_what_was_done():
    def interrupted(x, p, training):
        if x.dtype == torch.float64:  # with which this check does not call
            raise KeyboardInterrupt
        return F.dropout(x, p, training)

    comparison = compare_some(F.dropout, interrupted)
    assert not comparison.b.interrupted
    assert {row.group for row in comparison.rows} == {"policy"}
    assert not comparison.complete
    assert not comparison.same
    assert "no verdict" in render_comparison(comparison)


# As data and as text


ONE = Row("policy", "inf where dropped", "NaN", "0", True, "error")
ADVICE = Row("policy", "wrong p, 1.5", "accepted", "refused when built, Error", True, "advice")
SAME = (
    Row("policy", "modes", "x", "x", False, "error"),
    Row("check", "drop-rate", "passes: a", "passes: b", False, "error"),
)
UNSEEN = Row("policy", "dtype out, int64 in", "raises E", "int64", None, "error")


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
DIFFERS  inf where dropped  NaN       0
differs  wrong p, 1.5       accepted  refused when built, Error

the same: 1 of 4 policies; all 1 checks
not compared: 1, since a: raises E; b: int64: dtype out, int64 in

2 differences in 1.5 s, 1 of them in results.
"""


# A column needs 22; the label, the aspect and the gaps take 30.
@pytest.mark.parametrize("width", [None, 76, 73])
def test_a_comparison_as_text(width):
    text = render_comparison(comparison_of(ADVICE, ONE, *SAME, UNSEEN), width)
    if width == 73:
        assert f"{HEAD}DIFFERS  inf where dropped\n   a  NaN\n   b  0\n" in text
    else:
        assert text == WHOLE


def test_what_does_not_differ_is_counted_or_listed():
    failed = "skipped: not checked: kept-scale failed"
    skips = [Row("check", f"check-{i}", failed, "passes: x", None, "error") for i in range(34)]
    comparison = comparison_of(*SAME, *skips, a=(r.ERROR, r.ADVICE))
    text = render_comparison(comparison)
    assert "   fails 1 check: p-one-zeros\n" in text
    assert "the same: all 1 policies; 1 of 35 checks\n" in text
    assert "not compared: 34, since a: kept-scale failed: check-0, " in text
    assert "check-33" not in text
    whole = render_comparison(comparison, detail="checks")
    assert "all 1 policies: modes;" in whole
    assert "check-33" in whole


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
    data = comparison_of(ONE, a=(r.ERROR,), seconds=1.23456).to_dict()
    (only,) = data.pop("rows")
    assert (data.pop("a")["findings"], data.pop("b")["findings"]) == (
        ["p-one-zeros"], ["wrong-p-named"]
    )  # fmt: skip
    assert data == {
        "schema": 1, "same": False, "complete": True, "level": "quick", "seed": 7,
        "false_alarm_rate": 1e-6, "seconds": 1.235,
    }  # fmt: skip
    assert only == {
        "group": "policy", "aspect": "inf where dropped", "a": "NaN", "b": "0", "differs": True,
        "severity": "error",
    }  # fmt: skip


# The policies, one at a time


def said(aspect, target, level=TINY, **hints):
    """What a policy says of a target."""
    (probe,) = (policy.probe for policy in POLICIES if policy.aspect == aspect)
    return probe(Context(resolve(target, **hints), level, 0, 1e-6, 10))


def masked(x, p, training):
    return x.masked_fill(torch.rand(x.shape) < p, 0) if training else x


def multiplied(x, p, training):
    return x * (torch.rand(x.shape) >= p)


def returns(function):
    return lambda x, p, training: function(x)


def draws(count):
    """A target that takes so many of the words of torch's generator."""
    return returns(lambda x: (torch.rand(count(x.numel())), x)[1])


# Two masks of 4096 ones.
ALL_KEPT = hashlib.blake2b(b"\xff" * 1024, digest_size=4).hexdigest()

# What each policy says of some targets.
SAYS = {
    "p it can be verified at": [(nn.Dropout, "any"), (nn.Dropout(0.3), "p=0.3")],
    "modes": [(lambda x, p: x, "training only")],
    "wrong p, 1.5": [
        (Below, "refused when built, ValueError"),
        (masked, "accepted"),
        (lambda x, p, training: F.dropout(x, p) if training else x,
         "refused at the call, ValueError"),
        (returns(lambda x: {}[x]), "refused at the call, KeyError"),
    ],
    "object in eval": [
        (masked, "x itself"),
        (returns(lambda x: x.view(-1)), "a view of x"),
        (returns(lambda x: x.clone()), "a new tensor"),
    ],
    "dtype out, float16 in": [(returns(lambda x: x.float()), "float32")],
    "inf where dropped": [
        (masked, "0"),
        (multiplied, "NaN"),
        (returns(lambda x: torch.where(torch.arange(len(x)) < 9, x - x, 0.0)), "0 or NaN"),
    ],
    "-inf where dropped": [(returns(lambda x: x), "neither 0 nor NaN")],
    "nan where dropped": [(multiplied, "NaN")],
    "words of torch's generator": [
        (returns(lambda x: x), "none"),
        (draws(lambda n: 3), "3 a call"),
        (draws(lambda n: 2 + 3 * n), "2 a call and 3 an element"),
        (draws(lambda n: 8 * n + 56), "56 a call and 8 an element"),
        (draws(lambda n: 9 * n), "seeds it, or moves it otherwise"),
        (draws(lambda n: 1 if n < 5000 else 5), "1 for 4096, 5 for 8192, 5 for 12288"),
    ],
    "mask for a seed": [(returns(lambda x: x), f"mask {ALL_KEPT}")],
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
        ("wrong p, nan", nn.Dropout(0.3), "the target's p is given"),
        ("object in eval", lambda x, p: x, "no eval mode"),
    ],
)
def test_a_policy_that_does_not_apply_says_why(aspect, target, why):
    with pytest.raises(Skip, match=why):
        said(aspect, target)


@pytest.mark.parametrize(
    ("statuses", "differs"),
    [
        (("ok", "ok"), False), (("fail", "fail"), None), (("skip", "skip"), False),
        (("ok", "fail"), True), (("fail", "ok"), True), (("skip", "ok"), None),
        (("fail", "skip"), None),
    ],
)  # fmt: skip
def test_the_row_of_a_check(statuses, differs):
    a, b = (r.check(status, f"m{i}") for i, status in enumerate(statuses))
    words = {"ok": "passes", "fail": "fails", "skip": "skipped"}
    said = [f"{words[status]}: m{i}" for i, status in enumerate(statuses)]
    assert _check_row(a, b) == Row("check", "drop-rate", *said, differs, "error")
    assert _check_row(a, a).differs is False
    if statuses == ("fail", "fail"):  # advice of the same kind is the same
        advice = (replace(one, rule=replace(one.rule, severity="advice")) for one in (a, b))
        assert _check_row(*advice).differs is False
