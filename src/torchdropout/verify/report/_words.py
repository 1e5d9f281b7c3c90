"""The wording that all renderers share: labels and verdicts."""

from __future__ import annotations

from ...reporting.lines import plural
from ..results import CheckResult, Report, TargetReport

_LABEL = {"ok": "ok", "fail": "FAIL", "skip": "skip"}


def label(check: CheckResult, known: frozenset[str]) -> str:
    """`ok`, `skip`, `FAIL`, `advice`, or `known` for a finding that a baseline accepts.

    `FAIL` is for errors: advice does not fail a target.
    """
    if check.status == "fail" and check.rule.code in known:
        return "known"
    is_advice = check.status == "fail" and check.rule.severity == "advice"
    return "advice" if is_advice else _LABEL[check.status]


def verdict_line(target: TargetReport) -> str:
    """The findings and the verdict, in one line."""
    return f"{tally(target)}: {verdict(target)}."


def verdict(target: TargetReport) -> str:
    """The verdict that follows from the findings, in a few words."""
    if not target.complete:
        return "no verdict"
    if not target.passed:
        return "not a correct dropout"
    has_errors = any(finding.severity == "error" for finding in target.findings)
    return "accepted by the baseline" if has_errors else "a correct dropout"


def tally(target: TargetReport) -> str:
    """The number of checks or findings, and the time taken."""
    seconds = f"{target.seconds:.1f} s"
    if not target.complete:
        ended = plural(len(target.checks), "check")
        return f"interrupted after {ended} and {seconds}, {_counts(target)} so far"
    if target.findings:
        return f"{_counts(target)} in {seconds}"
    skipped = sum(check.status == "skip" for check in target.checks)
    ok = len(target.checks) - skipped
    aside = f" ({skipped} more did not apply)" if skipped else ""
    every = f"all {ok} checks" if ok != 1 else "the 1 check"
    return f"{every} ok in {seconds}{aside}"


def _counts(target: TargetReport) -> str:
    errors = sum(finding.severity == "error" for finding in target.new_findings)
    advice = len(target.new_findings) - errors
    known = len(target.findings) - len(target.new_findings)
    words = [plural(errors, "new error" if known else "error")]
    words += [f"{advice} advice"] if advice else []
    words += [f"{known} known"] if known else []
    return ", ".join(words)


def total(report: Report) -> str:
    """How many of the targets passed."""
    passed = sum(target.passed for target in report.targets)
    return f"{passed} of {len(report.targets)} targets passed"
