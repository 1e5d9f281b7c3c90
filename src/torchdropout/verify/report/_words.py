"""The wording that all renderers share: labels and verdicts."""

from __future__ import annotations

from collections.abc import Iterable

from ...reporting.lines import plural
from ..results import CheckResult, Report, TargetReport

_LABEL = {"ok": "ok", "fail": "FAIL", "skip": "skip", "late": "late"}


def label(check: CheckResult, known: frozenset[str]) -> str:
    """`ok`, `skip`, `late`, `FAIL`, `advice`, or `known` for a finding that a baseline accepts.

    `FAIL` is for errors: advice does not fail a target.
    """
    if check.status == "fail" and check.rule.code in known:
        return "known"
    is_advice = check.status == "fail" and check.rule.severity == "advice"
    return "advice" if is_advice else _LABEL[check.status]


_VERDICT = {
    "correct": "a correct dropout",
    "incorrect": "not a correct dropout",
    "accepted": "accepted by the baseline",
    "none": "no verdict",
}


def verdict_line(target: TargetReport) -> str:
    """The findings and the verdict, in one line."""
    says = verdict(target)
    return f"{tally(target)}{';' if ':' in says else ':'} {says}."


def verdict(target: TargetReport) -> str:
    """The verdict that follows from the findings, in a few words."""
    says = _VERDICT[target.verdict]
    if target.verdict == "none" and not target.interrupted:
        late = [f"{plural(len(target.late), 'check')} did not end"] if target.late else []
        return f"{says}: {', '.join([*late, *filter(None, [share(target)])])}"
    return says


def share(target: TargetReport) -> str:
    """How many of the checks a selection kept: `5 of 57 checks`; empty if it kept all."""
    selection = target.selection
    return "" if selection.is_whole else f"{selection.count} of {plural(selection.of, 'check')}"


def selected(target: TargetReport, between: str = "   ") -> str:
    """The selection, and how many checks it kept; empty without one."""
    selection = target.selection
    named = {"select": selection.select, "ignore": selection.ignore}
    words = [f"{name} {','.join(entries)}" for name, entries in named.items() if entries]
    count = share(target)
    return between.join([*words, *([count] if count else [])])


def tally(target: TargetReport) -> str:
    """The number of checks or findings, and the time taken."""
    seconds = f"{target.seconds:.1f} s"
    if target.interrupted:
        ended = plural(len(target.checks), "check")
        return f"interrupted after {ended} and {seconds}, {_counts(target)} so far"
    if target.findings:
        return f"{_counts(target)} in {seconds}"
    skipped = sum(check.status == "skip" for check in target.checks)
    ok = sum(check.status == "ok" for check in target.checks)
    aside = f" ({skipped} more did not apply)" if skipped else ""
    every = f"all {ok} checks" if ok != 1 else "the 1 check"
    every = plural(ok, "check") if target.late else every
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
    which = " the selected checks" if any(share(target) for target in report.targets) else ""
    return f"{passed} of {len(report.targets)} targets passed{which}"


def not_passed(report: Report) -> list[tuple[str, str]]:
    """The targets that did not pass, each with the names of its errors, or what was not run."""
    said = []
    for target in report.targets:
        if not target.passed:
            errors = [f.name for f in target.new_findings if f.severity == "error"]
            cut = ["interrupted"] if target.interrupted else []
            late = [f"{name} did not end" for name in target.late]
            said.append((target.target, ", ".join([*cut, *errors, *late])))
    return said


# The meaning of two figures in messages.
P_VALUES = (
    "A p-value is that of a check's most extreme test, times the number of tests, at most 1: "
    "1 means that all is as expected. A rate is for one p; all rates, with their intervals, are "
    "in the figures (--format json or html)."
)


def has_p_values(messages: Iterable[str]) -> bool:
    """Whether a message names a p-value, so that `P_VALUES` explains it."""
    return any("p-value" in message for message in messages)
