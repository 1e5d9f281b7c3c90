"""Renders reports as workflow commands, which GitHub Actions shows next to the source."""

from __future__ import annotations

from ..findings import SourceFinding, SourceReport
from ..reporting.github import command
from ._words import verdict_line

_COMMAND = {"error": "error", "advice": "warning"}


def render_github(report: SourceReport) -> str:
    """Renders a report as workflow commands: a line per finding, errors first, and the verdict.

    An error is `::error`, advice `::warning`, the verdict `::notice`; what could not be audited is
    an `::error`. GitHub shows the first ten of each kind.

    Args:
        report: What to render.

    Returns:
        Lines that each end in a newline; GitHub reads them from the output of a step.

    Reference:
        GitHub, "Workflow commands for GitHub Actions".
    """
    found = sorted(report.findings, key=lambda finding: finding.severity != "error")
    lines = [_finding(finding) for finding in found]
    title = {"title": "torchdropout audit"}
    lines += [command("error", title, problem) for problem in report.problems]
    verdict = "notice" if report.complete else "error"
    lines.append(command(verdict, title, verdict_line(report)))
    return "".join(f"{line}\n" for line in lines)


def _finding(finding: SourceFinding) -> str:
    place = {"file": finding.path}
    if not finding.cell:  # whose lines count within the cell, not the file
        place |= {"line": str(finding.line), "endLine": str(finding.end_line)}
        if finding.line == finding.end_line:  # GitHub accepts columns for one line only
            place |= {"col": str(finding.column), "endColumn": str(finding.end_column)}
    title = f"{finding.code} {finding.name}"
    return command(_COMMAND[finding.severity], {**place, "title": title}, finding.said)
