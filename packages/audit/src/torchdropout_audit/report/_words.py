"""Words that all renderers use: places, marks, the verdict."""

from __future__ import annotations

import json
from typing import Any

from ..findings import SourceFinding, SourceReport
from ..reporting.lines import clean, plural


def file_of(finding: SourceFinding) -> str:
    """Returns the file, and the cell of a notebook."""
    path = clean(finding.path)
    return f"{path}:cell {finding.cell}" if finding.cell else path


def ascii_json(value: Any) -> str:
    r"""Returns JSON text that every reader accepts.

    A name of a file may hold bytes that are not text. Python reads them as halves of a character,
    which some readers of JSON refuse: they are written as `\udcff`.

    Example:
        >>> print(ascii_json(["é", "\udcff"]))
        [
          "\u00e9",
          "\\udcff"
        ]
    """
    return json.dumps(_whole(value), indent=2)


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return value


def tags(finding: SourceFinding) -> str:
    """Returns what follows a message in brackets: `advice`, `fixable`."""
    marks = ["advice"] if finding.severity == "advice" else []
    if finding.fix is not None:
        marks += ["fixable"] if finding.fix.safe else ["fixable, unsafe"]
    return f"  [{', '.join(marks)}]" if marks else ""


def verdict_line(report: SourceReport) -> str:
    """Returns what was found, where and in what time, and what can be fixed."""
    errors = len(report.errors)
    advice = len(report.findings) - errors
    counts = plural(errors, "error") + (f", {advice} advice" if advice else "")
    where = plural(report.files, "file")
    if report.problems:
        where += f", {plural(len(report.problems), 'problem')}"
    done = f"{report.fixed} fixed; " if report.fixed else ""
    done += f"{report.ignored} ignored; " if report.ignored else ""
    begun = "interrupted: " if report.interrupted else "" if report.complete else "incomplete: "
    line = f"{begun}{done}{counts} in {where} ({report.seconds:.1f} s)."
    if report.problems and not report.files:
        line = f"{begun}{plural(len(report.problems), 'problem')}: no file was read."
    safe = sum(f.fix is not None and f.fix.safe for f in report.findings)
    unsafe = sum(f.fix is not None and not f.fix.safe for f in report.findings)
    orders = [f"--fix to fix {safe}"] if safe else []
    orders += [f"--unsafe-fixes to fix {unsafe}{' more' if safe else ''}"] if unsafe else []
    return f"{line} Run again with {', '.join(orders)}." if orders else line


def verdict_style(report: SourceReport) -> str:
    """Returns the style of the verdict: green for nothing found, yellow for advice alone."""
    if not report.passed:
        return "bold red"
    return "bold yellow" if report.findings else "bold green"
