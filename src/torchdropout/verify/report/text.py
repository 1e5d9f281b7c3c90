"""Reports as text: one line per check, the verdict last.

Without a width, nothing wraps: one line per check, for pipes and `grep`. With a width, a message
wraps in its own column. Styles are rich's, and do not change the characters.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from ...reporting.lines import clean, hanging, joined, wrapped
from ..results import CheckResult, Report, TargetReport
from ._words import label, total, verdict_line

_STYLE = {"ok": "green", "FAIL": "bold red", "advice": "yellow", "known": "cyan", "skip": "dim"}
_STATUS_WIDTH = max(map(len, _STYLE))
_INDENT = 2
_GAP = 2
# With fewer columns than this for the message, the group has its own line and no column.
_NARROW_MESSAGE = 48


def render_text(report: Report, *, width: int | None = None, styled: bool = False) -> str:
    """Render the report as text.

    Args:
        report: What to render.
        width: Columns of the terminal; None for no wrapping.
        styled: Whether to colour it with ANSI codes.

    Returns:
        Lines that each end in a newline.
    """
    lines: list[Text] = []
    for target in report.targets:
        lines += [*_target(target, width), Text()]
    if len(report.targets) > 1:
        style = "bold green" if report.passed else "bold red"
        lines.append(Text(f"{total(report)}.", style=style))
    elif lines:
        lines.pop()
    return joined(lines, styled)


def _target(target: TargetReport, width: int | None) -> Iterator[Text]:
    yield from _header(target, width)
    yield Text()
    yield from _checks(target, width)
    yield Text()
    yield from _verdict(target, width)


def _header(target: TargetReport, width: int | None) -> Iterator[Text]:
    yield Text(clean(target.target), style="bold")
    yield from wrapped(target.description, width)
    claim = f"spec {target.spec}   " if target.spec != "plain" else ""
    yield from wrapped(
        f"{claim}level {target.level}   seed {target.seed}   "
        f"false-alarm rate of the run {target.false_alarm_rate:.2g}",
        width,
        style="dim",
    )


def _checks(target: TargetReport, width: int | None) -> Iterator[Text]:
    """One line per check; the group is named where it changes."""
    rules = [check.rule for check in target.checks]
    name_width = max((len(rule.name) for rule in rules), default=0)
    group_width = max((len(rule.group) for rule in rules), default=0) + _GAP
    rest = _INDENT + _STATUS_WIDTH + _GAP + name_width + _GAP
    own_line = width is not None and width - rest - group_width < _NARROW_MESSAGE
    group = ""
    for check in target.checks:
        is_new, group = check.rule.group != group, check.rule.group
        if is_new and own_line:
            yield Text(f"{' ' * _INDENT}{group}", style="cyan")
        shown = group if is_new and not own_line else ""
        lead = " " * (2 * _INDENT) if own_line else f"{' ' * _INDENT}{shown:<{group_width}}"
        yield from _check(check, label(check, target.known), lead, name_width, width)


def _check(
    check: CheckResult, shown: str, lead: str, name_width: int, width: int | None
) -> list[Text]:
    head = Text.assemble(
        (lead, "cyan"),
        (f"{shown:<{_STATUS_WIDTH}}", _STYLE[shown]),
        " " * _GAP,
        f"{check.rule.name:<{name_width}}",
        " " * _GAP,
    )
    parts = [(check.message, "")]
    if check.sees:
        parts.append((f"sees {check.sees}", "dim"))
    return hanging(head, parts, width)


def _verdict(target: TargetReport, width: int | None) -> Iterator[Text]:
    style = "bold green" if target.passed else "bold red"
    yield from wrapped(verdict_line(target), width, style=style)
    findings = sorted(target.new_findings, key=lambda finding: finding.severity != "error")
    if findings:
        pointer = (
            f"`torchdropout explain {findings[0].name}` says why it matters and how to fix it."
        )
        yield from wrapped(pointer, width)
