"""Known findings: what an earlier report makes of a later one."""

import json

import pytest

from torchdropout.errors import ArgumentValueError
from torchdropout.verify import RULES
from torchdropout.verify.baseline import Baseline, read_baseline
from torchdropout.verify.report import render_json
from torchdropout.verify.results import CheckResult, Report, TargetReport


def target(name, **statuses):
    """A report with a result a code."""
    checks = tuple(CheckResult(RULES[code], status, "seen") for code, status in statuses.items())
    return TargetReport(name, "d", "quick", 0, 1e-6, checks)


def report(**targets):
    return Report(tuple(target(name, **statuses) for name, statuses in targets.items()))


@pytest.fixture
def read(tmp_path):
    """What is read of a report that was written."""

    def read(earlier):
        path = tmp_path / "known.json"
        path.write_text(render_json(earlier))
        return read_baseline(path)

    return read


def test_what_was_found_before_fails_nothing(read):
    known = read(report(a={"TD511": "fail", "TD521": "ok"}, b={"TD521": "fail"}))
    now = report(a={"TD511": "fail", "TD521": "fail"}, b={"TD521": "fail"}, c={"TD511": "fail"})
    marked = known.mark(now)
    a, b, c = marked.targets
    assert [f.code for f in a.findings] == ["TD511", "TD521"]  # shown all the same
    assert [f.code for f in a.new_findings] == ["TD521"]
    assert (a.passed, b.passed, c.passed) == (False, True, False)
    assert not marked.passed
    assert [t.passed for t in now.targets] == [False, False, False]


def test_what_went_away_is_what_was_seen_to_be_right(read):
    four = dict.fromkeys(("TD511", "TD521", "TD531", "TD541"), "fail")
    known = read(report(a=four, b={"TD511": "fail"}))
    # Another fails still, one was skipped, one not run, b not verified, c not known.
    now = report(
        a={"TD511": "ok", "TD521": "fail", "TD531": "skip"}, c={"TD511": "ok", "TD541": "ok"}
    )
    assert known.gone(now) == (("a", "TD511"),)


def test_a_report_with_known_findings_is_a_baseline_again(read):
    first = report(a={"TD511": "fail"})
    again = read(read(first).mark(first))
    assert again == Baseline({"a": frozenset({"TD511"})})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "got No such file or directory"),
        (b"\xff", "bytes that are not UTF-8"),
        ("{", "got invalid JSON"),
        ("[" * 100_000, "got brackets nested too deep"),
        ("{}", "got other JSON .*schema"),
        ('{"schema": 1, "targets": [{}]}', "got other JSON .*target"),
        ('{"schema": 1, "checks": []}', "got other JSON .*targets"),
        ('{"schema": 99, "targets": []}', "got schema 99, expected 1"),
        ('{"schema": 1, "targets": [{"target": "a", "findings": [3]}]}', "got other JSON"),
    ],
)
def test_what_is_no_report_is_told(tmp_path, text, words):
    path = tmp_path / "known.json"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ArgumentValueError, match=words) as caught:
        read_baseline(path)
    assert str(path) in str(caught.value)
    assert "--format json" in str(caught.value)


def test_findings_of_a_check_that_is_no_more_are_read(tmp_path):
    path = tmp_path / "known.json"
    one = {"target": "a", "findings": [{"code": "TD599"}]}
    path.write_text(json.dumps({"schema": 1, "targets": [one]}))
    known = read_baseline(path)
    assert known.gone(report(a={"TD511": "ok"})) == ()
