import dataclasses
import json
import re

import numpy as np
import pytest
import torch

from torchdropout.reporting.findings import Rule
from torchdropout.reporting.rules import render_rule
from torchdropout.verify.report import render_json, render_text
from torchdropout.verify.results import CheckResult, Report, Selection, TargetReport

ANSI = re.compile(r"\x1b\[[0-9;]*m")
LONG = "p=1: 4096 of 4096 values are NaN, expected 0; the first is at (0, 0), the last at (63, 63)"


def rule(name, group, severity="error", code="TD500"):
    explain = "Measured: a call.\n\nIt matters\na lot.\n\n    code = 1\n\nTo fix: fix it."
    return Rule(code, name, group, severity, f"The summary of {name}.", explain)


IDENTITY = CheckResult(rule("eval-identity", "mode"), "ok", "y is x", seconds=0.25)
SWITCH = CheckResult(rule("mode-switch", "mode"), "skip", "not checked: no module")
RATE = CheckResult(
    rule("drop-rate", "rate"), "ok", "p=0.1: 0.10002 of 4194304", {"p": 0.1}, "an error of 0.0012"
)
ZEROS = CheckResult(rule("p-one-zeros", "edges"), "fail", LONG, {"nan": 4096})
NAMED = CheckResult(rule("wrong-p-named", "construction", "advice"), "fail", "p=1.5 accepted")


def target(*checks, name="drops.py:Drop", interrupted=False):
    return TargetReport(name, "module class, built as Drop(p=p)", "quick", 7, 1e-6, checks, 11.42,
                        interrupted)  # fmt: skip


HEAD = """\
drops.py:Drop
module class, built as Drop(p=p)
level quick   seed 7   false-alarm rate of the run 1e-06

"""
FAILED = f"""
  FAIL    p-one-zeros    {LONG}
  advice  wrong-p-named  p=1.5 accepted
"""
END = """
1 error, 1 advice in 11.4 s: not a correct dropout.
`torchdropout explain p-one-zeros` says why it matters and how to fix it.
"""

GROUPS = f"""{HEAD}\
  mode          1 ok, 1 skip  not checked: no module
  rate          1 ok
  edges         1 FAIL
  construction  1 advice
  -v lists each check, and how small a fault it would have seen.
{FAILED}{END}"""


QUIET = f"""{FAILED[1:]}\
drops.py:Drop: 1 error, 1 advice in 11.4 s: not a correct dropout.
"""


def test_text_of_a_target():
    # An advice that comes before an error in the run: the errors are named first.
    report = Report((target(IDENTITY, SWITCH, RATE, ZEROS, NAMED),))
    assert render_text(report) == GROUPS
    assert render_text(report, detail="quiet") == QUIET
    checks = " ".join(render_text(report, detail="checks").split())
    assert "mode ok eval-identity y is x skip mode-switch not checked: no module" in checks
    assert "ok drop-rate p=0.1: 0.10002 of 4194304 sees an error of 0.0012" in checks


def test_what_failed_comes_last_however_many_checks_were_skipped():
    skips = [
        CheckResult(rule(f"skip-{i}", f"group-{i % 9}"), "skip", f"not checked: {why}")
        for i, why in enumerate(["p-one-zeros failed"] * 39 + ["no module"])
    ]
    skips.sort(key=lambda check: check.rule.group)
    lines = render_text(Report((target(IDENTITY, ZEROS, *skips),)), width=80).splitlines()
    assert len(lines) < 25
    (failed,) = [i for i, line in enumerate(lines) if line.startswith("  FAIL ")]
    assert len(lines) - failed < 8
    assert "39 checks did not run because another failed" in "\n".join(lines)
    (both,) = [line for line in lines if "other reason" in line]
    assert both.split(maxsplit=3) == [
        "group-3", "5", "skip", "not checked: p-one-zeros failed, and 1 other reason"
    ]  # fmt: skip


def test_errors_come_before_advice_and_both_before_what_is_known():
    known = dataclasses.replace(ZEROS, rule=rule("few-masks", "rate", code="TD531"))
    one = dataclasses.replace(target(known, NAMED, ZEROS), known=frozenset({"TD531"}))
    text = render_text(Report((one,)), detail="quiet")
    assert [line.split()[0] for line in text.splitlines()[:-1]] == ["FAIL", "advice", "known"]


GREEN, YELLOW, RED = "\x1b[1;32m", "\x1b[1;33m", "\x1b[1;31m"


@pytest.mark.parametrize(
    ("checks", "more", "colour"),
    [
        ((IDENTITY,), {}, GREEN),
        ((IDENTITY, ZEROS), {"known": frozenset({"TD500"})}, GREEN),
        ((IDENTITY, ZEROS), {}, RED),
        ((IDENTITY,), {"interrupted": True}, RED),
        ((IDENTITY,), {"selection": Selection(("mode",), (), 1, 57)}, YELLOW),
    ],
)
def test_the_colour_of_a_verdict_and_of_a_total(checks, more, colour):
    report = Report((dataclasses.replace(target(*checks), **more),))
    for detail in ("groups", "quiet"):
        styled = render_text(report, styled=True, detail=detail)
        assert f"{colour}drops.py" in styled if detail == "quiet" else colour in styled
        assert not [c for c in {GREEN, YELLOW} - {colour} if c in styled]
    both = render_text(Report(report.targets * 2), styled=True)
    assert both.splitlines()[-1].startswith(colour)


def test_p_values_are_explained_where_they_are_printed():
    tested = CheckResult(rule("drop-rate", "rate"), "ok", "p=0.5: 0.4997 of 99   p-value 1")
    words = "A p-value is that of a check's most extreme test, times the number of tests"
    for check, detail, is_said in (
        (tested, "checks", True),
        (tested, "groups", False),
        (RATE, "checks", False),
    ):
        # Not every message needs to have one.
        text = render_text(Report((target(check, IDENTITY),)), detail=detail)
        assert (words in text) is is_said
        assert ("with their intervals" in text) is is_said


@pytest.mark.parametrize("detail", ["groups", "checks", "quiet"])
@pytest.mark.parametrize("width", [60, 120])
def test_styles_change_no_character_and_no_line_is_too_wide(width, detail):
    wordy = CheckResult(rule("drop-rate", "rate"), "ok", LONG, sees=LONG)
    report = Report((target(IDENTITY, SWITCH, wordy, ZEROS, NAMED), target(ZEROS)))
    plain = render_text(report, width=width, detail=detail)
    styled = render_text(report, width=width, styled=True, detail=detail)
    assert ANSI.sub("", styled) == plain
    assert ANSI.search(styled)
    assert not ANSI.search(plain)
    assert max(len(line) for line in plain.splitlines()) <= width
    assert not [line for line in plain.splitlines() if line != line.rstrip()]


KNOWN = frozenset({ZEROS.rule.code, NAMED.rule.code})


SOME = {"selection": Selection(("mode", "TD51"), ("TD521",), 2, 57)}
ALL = {"selection": Selection(("mode",), (), 1, 1)}
NEW = CheckResult(rule("drop-rate", "rate", code="TD521"), "fail", "m")

# checks, what else is said of the target, its verdict
VERDICTS = [
    ((IDENTITY, RATE), {}, "all 2 checks ok in 11.4 s: a correct dropout."),
    ((IDENTITY,), {}, "the 1 check ok in 11.4 s: a correct dropout."),
    ((IDENTITY, RATE, SWITCH), {},
     "all 2 checks ok in 11.4 s (1 more did not apply): a correct dropout."),
    ((IDENTITY, NAMED), {}, "no errors, 1 advice in 11.4 s: a correct dropout."),
    ((ZEROS, ZEROS, NAMED), {}, "2 errors, 1 advice in 11.4 s: not a correct dropout."),
    ((), {"interrupted": True},
     "interrupted after no checks and 11.4 s, no errors so far: no verdict."),
    ((IDENTITY, ZEROS), {"interrupted": True},
     "interrupted after 2 checks and 11.4 s, 1 error so far: no verdict."),
    ((IDENTITY, ZEROS), {"known": KNOWN},
     "no new errors, 1 known in 11.4 s: accepted by the baseline."),
    ((IDENTITY, NAMED), {"known": KNOWN}, "no new errors, 1 known in 11.4 s: a correct dropout."),
    ((ZEROS, NEW, NAMED), {"known": KNOWN},
     "1 new error, 2 known in 11.4 s: not a correct dropout."),
    ((IDENTITY, RATE), SOME, "all 2 checks ok in 11.4 s; no verdict: 2 of 57 checks."),
    ((IDENTITY, NAMED), SOME, "no errors, 1 advice in 11.4 s; no verdict: 2 of 57 checks."),
    ((IDENTITY, ZEROS), SOME, "1 error in 11.4 s: not a correct dropout."),
    ((IDENTITY, ZEROS), {**SOME, "known": KNOWN},
     "no new errors, 1 known in 11.4 s; no verdict: 2 of 57 checks."),
    ((IDENTITY,), ALL, "the 1 check ok in 11.4 s: a correct dropout."),
]  # fmt: skip


@pytest.mark.parametrize(("checks", "more", "verdict"), VERDICTS)
def test_verdict(checks, more, verdict):
    one = dataclasses.replace(target(*checks), **more)
    lines = render_text(Report((one,))).splitlines()
    new = [f.name for f in one.new_findings]
    assert lines[-2 if new else -1] == verdict
    if new:
        assert lines[-1].startswith("`torchdropout explain ")
    labels = {line.split()[0] for line in lines if line.endswith(LONG)}
    assert labels == ({"known" if "known" in more else "FAIL"} if ZEROS in checks else set())


def test_what_was_left_out_is_said():
    head = render_text(Report((dataclasses.replace(target(IDENTITY), **SOME),))).splitlines()[2]
    assert head.endswith("1e-06   select mode,TD51   ignore TD521   2 of 57 checks")
    assert "select mode\n" in render_text(Report((dataclasses.replace(target(IDENTITY), **ALL),)))


def test_what_a_target_claims_to_be_is_said_unless_it_is_plain():
    assert "spec" not in render_text(Report((target(IDENTITY),)))
    claim = dataclasses.replace(target(IDENTITY), spec="drop-path")
    assert "\nspec drop-path   level quick   seed 7" in render_text(Report((claim,)))


def test_text_of_several_targets_ends_in_a_total_and_those_that_failed():
    cut = target(ZEROS, name="d:D", interrupted=True)
    several = (target(NAMED, name="a:A"), target(ZEROS, NAMED, name="b:B"), cut)
    for detail in ("groups", "checks", "quiet"):
        text = render_text(Report(several), detail=detail)
        assert text.endswith(
            "\nnot passed  b:B: p-one-zeros\n"
            "not passed  d:D: interrupted, p-one-zeros\n"
            "1 of 3 targets passed.\n"
        )
        assert text.index("a:A") < text.index("b:B")


def test_text_of_nothing_is_empty():
    assert render_text(Report(())) == ""


def test_a_message_cannot_steer_the_terminal_or_break_its_line():
    hostile = CheckResult(rule("drop-rate", "rate"), "fail", "a\x1b[2Jb\nc\td \x07 [red]e[/red]")
    for styled in (False, True):
        text = ANSI.sub("", render_text(Report((target(hostile),)), styled=styled))
        assert "a [2Jb c d [red]e[/red]" in text
        assert not [c for c in text if not c.isprintable() and c != "\n"]


def refuse(text):
    raise AssertionError(f"not JSON: {text}")


# figure, what JSON gives back
FIGURES = [
    (float("nan"), "nan"),
    (float("-inf"), "-inf"),
    (np.float64("inf"), "inf"),
    (np.float32("nan"), "nan"),
    (np.int64(3), 3),
    (np.float32(2.5), 2.5),
    (np.bool_(True), True),
    (torch.tensor(2), 2),
    (torch.tensor([1, 2]), "tensor([1, 2])"),
    (np.complex128(1j), "1j"),
    ({1: (1, float("nan"))}, {"1": [1, "nan"]}),
    (torch.float16, "torch.float16"),
    ("\ud800 é", "\ud800 é"),
]


@pytest.mark.parametrize(("figure", "expected"), FIGURES)
def test_json_is_strict_whatever_the_figures(figure, expected):
    check = CheckResult(rule("drop-rate", "rate"), "fail", "m", {"f": figure})
    text = render_json(Report((target(check),)))
    assert text.isascii()
    data = json.loads(text, parse_constant=refuse)
    assert data["targets"][0]["findings"][0]["figures"]["f"] == expected


def test_rule_is_explained_with_its_examples():
    broken = "    class Drop:\n\tp = 1\n\n        pass\n" + "    # long " + "x" * 200 + "\n"
    shown = dataclasses.replace(rule("drop-rate", "rate"), broken=broken, fixed="\nfixed = 1\n")
    text = render_rule(shown, width=60)
    assert text.endswith(
        f"""
To fix: fix it.

Broken:

    class Drop:
        p = 1

        pass
    # long {"x" * 200}

Fixed:

    fixed = 1
"""
    )
    assert ANSI.sub("", render_rule(shown, width=60, styled=True)) == text
