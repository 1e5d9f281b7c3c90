"""Reports as workflow commands, which GitHub Actions shows next to the source."""

from __future__ import annotations

from ...reporting.github import command
from ..results import Report, TargetReport
from ._words import label, not_passed, selected, total, verdict_line

_COMMAND = {"FAIL": "error", "advice": "warning", "known": "notice"}


def render_github(report: Report) -> str:
    """Render the report as workflow commands: a line per finding, errors first, and per verdict.

    An error is `::error`, advice `::warning`; the verdict, and what a baseline accepts, `::notice`.
    A target whose run was interrupted is an `::error`.

    Args:
        report: What to render.

    Returns:
        Lines that each end in a newline; GitHub reads them from the output of a step.

    Reference:
        GitHub, "Workflow commands for GitHub Actions".
    """
    lines = [line for target in report.targets for line in _target(target)]
    if len(report.targets) > 1:
        said = [f"{total(report)}.", *(f"{name}: {why}" for name, why in not_passed(report))]
        lines.append(command("notice", {"title": "torchdropout verify"}, "\n".join(said)))
    return "".join(f"{line}\n" for line in lines)


def _target(target: TargetReport) -> list[str]:
    place = {"file": target.file, "line": str(target.line or "")} if target.file else {}
    failed = [(label(c, target.known), c) for c in target.checks if c.status == "fail"]
    failed.sort(key=lambda one: list(_COMMAND).index(one[0]))
    lines = []
    for shown, check in failed:
        known = "known: " if shown == "known" else ""
        title = f"{known}{check.rule.code} {check.rule.name}"
        message = f"{target.target}: {check.message}"
        lines.append(command(_COMMAND[shown], {**place, "title": title}, message))
    verdict = "error" if target.interrupted or target.late else "notice"
    chosen = selected(target, ", ")
    said = verdict_line(target) + (f" Selection: {chosen}." if chosen else "")
    lines.append(command(verdict, {**place, "title": target.target}, said))
    return lines
