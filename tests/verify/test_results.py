"""The results of a run as plain data."""

import dataclasses
import math

import pytest

from torchdropout.verify.results import CheckResult, Report, Selection
from verify import _reports as r

RULE = r.rule("drop-rate", "rate", code="TD521")


def test_a_result_as_data_and_its_finding():
    result = CheckResult(RULE, "fail", "too many", {"p": 0.5, "n": math.nan}, "much", 1.23456)
    assert result.to_dict() == {
        "code": "TD521", "name": "drop-rate", "group": "rate", "severity": "error",
        "status": "fail", "message": "too many", "figures": {"p": 0.5, "n": "nan"},
        "sees": "much", "seconds": 1.235,
    }  # fmt: skip
    finding = result.finding
    assert (finding.code, finding.name, finding.severity) == ("TD521", "drop-rate", "error")
    assert (finding.message, finding.figures) == ("too many", result.figures)
    assert [CheckResult(RULE, status, "m").finding for status in ("ok", "skip")] == [None, None]
    plain = CheckResult(RULE, "ok", "m")
    assert (plain.figures, plain.sees, plain.seconds) == ({}, "", 0.0)


@pytest.mark.parametrize(("count", "of", "is_whole"), [(0, 0, True), (5, 5, True), (4, 5, False)])
def test_a_selection_is_whole_where_no_check_was_left_out(count, of, is_whole):
    selection = Selection(("a",), ("b", "c"), count, of)
    assert selection.is_whole is is_whole
    assert selection.to_dict() == {"select": ["a"], "ignore": ["b", "c"], "count": count, "of": of}


KNOWN = frozenset({"TD552"})


@pytest.mark.parametrize(
    ("checks", "more", "passed", "complete", "verdict"),
    [
        ((r.OK,), {}, True, True, "correct"),
        ((r.OK, r.ADVICE), {}, True, True, "correct"),
        ((r.OK, r.ERROR), {}, False, True, "incorrect"),
        ((r.OK, r.ERROR), {"known": KNOWN}, True, True, "accepted"),
        ((r.OK, r.ADVICE), {"known": frozenset({"TD602"})}, True, True, "correct"),
        ((r.OK,), {"interrupted": True}, False, False, "none"),
        ((r.OK, r.ERROR), {"interrupted": True}, False, False, "none"),
        ((r.OK,), {"selection": r.MODE}, True, False, "none"),
        ((r.OK, r.ERROR), {"selection": r.MODE}, False, False, "incorrect"),
        ((r.OK, r.ERROR), {"selection": r.MODE, "known": KNOWN}, True, False, "none"),
    ],
)
def test_the_verdict_on_a_target(checks, more, passed, complete, verdict):
    target = r.target(*checks, **more)
    assert (target.passed, target.complete, target.verdict) == (passed, complete, verdict)
    report = Report((r.target(r.OK), target))
    assert (report.passed, report.complete) == (passed, complete)
    assert list(report) == list(report.targets)


def test_a_target_as_data():
    target = r.target(
        r.OK, r.ERROR, r.ADVICE, known=frozenset({"TD602", "TD001"}), file="a", line=3
    )
    target = dataclasses.replace(target, seconds=1.23456, selection=Selection(("a",), (), 3, 3))
    data = target.to_dict()
    findings, checks = data.pop("findings"), data.pop("checks")
    assert data == {
        "target": "drops.py:Drop", "description": "module class, built as Drop(p=p)",
        "spec": "plain", "file": "a", "line": 3, "level": "quick", "seed": 7,
        "false_alarm_rate": 1e-6, "passed": False, "complete": True, "interrupted": False,
        "verdict": "incorrect", "known": ["TD001", "TD602"], "seconds": 1.235,
        "selection": {"select": ["a"], "ignore": [], "count": 3, "of": 3},
    }  # fmt: skip
    assert [one["code"] for one in findings] == ["TD552", "TD602"]
    assert checks == [check.to_dict() for check in (r.OK, r.ERROR, r.ADVICE)]
    report = Report((target, target))
    assert report.to_dict() == {"schema": 1, "targets": [target.to_dict()] * 2}
    assert [f.code for f in report.findings] == ["TD552", "TD602"] * 2
    assert [f.code for f in report.new_findings] == ["TD552"] * 2
