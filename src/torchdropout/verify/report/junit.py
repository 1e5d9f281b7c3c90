"""Reports as JUnit XML, which test runners and CI services read."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from ..results import CheckResult, Report, TargetReport
from ._words import label, share, verdict, verdict_line

# Characters that XML 1.0 cannot represent.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(report: Report) -> str:
    """Render the report as JUnit XML: a suite per target, a case per check.

    An error is a failure. Advice, findings that a baseline accepts and checks that do not apply are
    skipped cases with the reason. An interrupted run has one more case, in error.

    Args:
        report: What to render.

    Returns:
        An XML document in ASCII.

    Example:
        >>> print(render_junit(Report(())))
        <?xml version='1.0' encoding='us-ascii'?>
        <testsuites name="torchdropout verify" tests="0" failures="0" errors="0" skipped="0" \
time="0.000" />
    """
    root = ET.Element("testsuites", name="torchdropout verify")
    for target in report.targets:
        root.append(_suite(target))
    _count(root, sum(target.seconds for target in report.targets))
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="us-ascii", xml_declaration=True)
    return document.decode("ascii")


def _suite(target: TargetReport) -> ET.Element:
    suite = ET.Element("testsuite", name=_legal(target.target))
    facts = {
        "description": target.description,
        "spec": target.spec,
        "level": target.level,
        "seed": target.seed,
        "false_alarm_rate": target.false_alarm_rate,
        "select": ",".join(target.selection.select),
        "ignore": ",".join(target.selection.ignore),
        "checks": share(target) or "all that apply",
        "verdict": verdict(target),
    }
    properties = ET.SubElement(suite, "properties")
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=name, value=_legal(str(value)))
    for check in target.checks:
        suite.append(_case(target, check))
    if target.interrupted:
        case = _named(target, "complete", 0.0)
        ET.SubElement(case, "error", message=_legal(verdict_line(target)), type="interrupted")
        suite.append(case)
    _count(suite, target.seconds)
    return suite


def _case(target: TargetReport, check: CheckResult) -> ET.Element:
    rule = check.rule
    case = _named(target, rule.name, check.seconds)
    shown = label(check, target.known)
    if shown == "FAIL":
        failure = ET.SubElement(case, "failure", message=_legal(check.message), type=rule.code)
        failure.text = _legal(f"{rule.code} {rule.name}: {rule.summary}\n\n{rule.explain}")
    elif shown == "late":
        ET.SubElement(case, "error", message=_legal(check.message), type="late")
    elif shown != "ok":
        why = check.message if shown == "skip" else f"{shown}: {check.message}"
        ET.SubElement(case, "skipped", message=_legal(why), type=rule.code)
    lines = [f"{rule.code} {rule.summary}", check.message]
    lines += [f"sees {check.sees}"] if check.sees else []
    ET.SubElement(case, "system-out").text = _legal("\n".join(lines))
    return case


def _named(target: TargetReport, name: str, seconds: float) -> ET.Element:
    case = ET.Element("testcase", classname=_legal(target.target), name=name, time=_time(seconds))
    if target.file:
        case.set("file", _legal(target.file))
    if target.file and target.line:
        case.set("line", str(target.line))
    return case


def _count(element: ET.Element, seconds: float) -> None:
    """Set the totals of a suite, or of all suites."""
    cases = len(list(element.iter("testcase")))
    counts = {name: len(list(element.iter(name))) for name in ("failure", "error", "skipped")}
    element.set("tests", str(cases))
    element.set("failures", str(counts["failure"]))
    element.set("errors", str(counts["error"]))
    element.set("skipped", str(counts["skipped"]))
    element.set("time", _time(seconds))


def _time(seconds: float) -> str:
    return f"{seconds:.3f}"


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)
