"""Reports as text: the groups of checks, what failed, and the verdict last.

Without a width, nothing wraps: one line per finding, for pipes and `grep`. With a width, a message
wraps in its own column. Styles are rich's, and do not change the characters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal

from rich.text import Text

from ...reporting.lines import clean, hanging, joined, plural, wrapped
from ..results import CheckResult, Report, TargetReport
from ._words import P_VALUES, has_p_values, label, not_passed, selected, total, verdict_line

# `quiet`: failures and the verdict; `groups`: also a line per group; `checks`: a line per check.
Detail = Literal["quiet", "groups", "checks"]

_STYLE = {
    "FAIL": "bold red",
    "advice": "yellow",
    "known": "cyan",
    "late": "bold yellow",
    "ok": "green",
    "skip": "dim",
}
_VERDICT_STYLE = {
    "correct": "bold green",
    "accepted": "bold green",
    "incorrect": "bold red",
    "none": "bold yellow",
}
_STATUS_WIDTH = max(map(len, _STYLE))
_INDENT = 2
_GAP = 2
# With fewer columns than this for the message, the group gets its own line, not a column.
_NARROW_MESSAGE = 48
# A check that waits for another to pass.
_WAITS = re.compile(r"not checked: \S+ failed")


def render_text(
    report: Report,
    *,
    width: int | None = None,
    styled: bool = False,
    detail: Detail = "groups",
) -> str:
    """Render the report as text.

    Args:
        report: What to render.
        width: Columns of the terminal; None for no wrapping.
        styled: Whether to colour it with ANSI codes.
        detail: `"groups"`: a line for each group of checks, then what failed and the verdict;
            `"checks"`: a line for each check, with the smallest fault it would have seen, then the
            same; `"quiet"`: what failed and the verdict only.

    Returns:
        Lines that each end in a newline.
    """
    lines: list[Text] = []
    for target in report.targets:
        lines += _target(target, width, detail)
        lines += [Text()] if detail != "quiet" else []
    if len(report.targets) > 1:
        lines += _summary(report, width)
    elif lines and detail != "quiet":
        lines.pop()
    return joined(lines, styled)


def _target(target: TargetReport, width: int | None, detail: Detail) -> Iterator[Text]:
    if detail != "quiet":
        yield from _header(target, width)
        yield Text()
        yield from (_groups if detail == "groups" else _checks)(target, width)
        yield Text()
    failures = list(_failures(target, width))
    yield from failures
    if failures and detail != "quiet":
        yield Text()
    yield from _verdict(target, width, detail)


def _header(target: TargetReport, width: int | None) -> Iterator[Text]:
    yield Text(clean(target.target), style="bold")
    yield from wrapped(target.description, width)
    claim = f"spec {target.spec}   " if target.spec != "plain" else ""
    chosen = selected(target)
    yield from wrapped(
        f"{claim}level {target.level}   seed {target.seed}   "
        f"false-alarm rate of the run {target.false_alarm_rate:.2g}"
        f"{chosen and f'   {chosen}'}",
        width,
        style="dim",
    )


def _groups(target: TargetReport, width: int | None) -> Iterator[Text]:
    """One line per group: how its checks ended, and why some were skipped."""
    groups = [(g, list(c)) for g, c in groupby(target.checks, key=lambda check: check.rule.group)]
    counts = [_counts([label(check, target.known) for check in checks]) for _, checks in groups]
    name_width = max((len(group) for group, _ in groups), default=0) + _GAP
    count_width = max((count.cell_len for count in counts), default=0)
    for (group, checks), count in zip(groups, counts, strict=True):
        line = Text.assemble(" " * _INDENT, (f"{group:<{name_width}}", "cyan"), count)
        reason = _reason([check.message for check in checks if check.status == "skip"])
        if reason:
            line.append(" " * (count_width - count.cell_len + _GAP))
            line.append(reason, style="dim")
        if width is not None:
            line.truncate(width, overflow="ellipsis")
        yield line
    if any(check.status != "fail" for check in target.checks):
        said = "-v lists each check, and how small a fault it would have seen."
        yield from (Text(" " * _INDENT) + line for line in wrapped(said, width, "dim"))


def _counts(labels: Sequence[str]) -> Text:
    """`1 FAIL, 5 ok`."""
    parts = Text()
    for name, style in _STYLE.items():
        if name in labels:
            parts.append(", " if parts else "")
            parts.append(f"{labels.count(name)} {name}", style)
    return parts


def _reason(messages: Sequence[str]) -> str:
    """Why checks were skipped: the most frequent reason, and how many others there are."""
    reasons = Counter(map(clean, messages)).most_common()
    if not reasons:
        return ""
    others = f", and {plural(len(reasons) - 1, 'other reason')}" if len(reasons) > 1 else ""
    return reasons[0][0] + others


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
    if has_p_values(check.message for check in target.checks):
        yield Text()
        yield from wrapped(P_VALUES, width, "dim")


def _failures(target: TargetReport, width: int | None) -> Iterator[Text]:
    """What failed, errors first, and what did not end."""
    failed = [(label(c, target.known), c) for c in target.checks if c.status in ("fail", "late")]
    failed.sort(key=lambda one: list(_STYLE).index(one[0]))
    name_width = max((len(check.rule.name) for _, check in failed), default=0)
    for shown, check in failed:
        yield from _check(check, shown, " " * _INDENT, name_width, width)


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
    if check.sees and check.status != "fail":
        parts.append((f"sees {check.sees}", "dim"))
    return hanging(head, parts, width)


def _verdict(target: TargetReport, width: int | None, detail: Detail) -> Iterator[Text]:
    style = "bold red" if target.interrupted else _VERDICT_STYLE[target.verdict]
    if detail == "quiet":
        yield from wrapped(f"{target.target}: {verdict_line(target)}", width, style)
        return
    yield from wrapped(verdict_line(target), width, style=style)
    findings = sorted(target.new_findings, key=lambda finding: finding.severity != "error")
    if findings:
        pointer = (
            f"`torchdropout explain {findings[0].name}` says why it matters and how to fix it."
        )
        yield from wrapped(pointer, width)
    waiting = sum(_WAITS.fullmatch(check.message) is not None for check in target.checks)
    if waiting:
        said = "did not run because another failed: verify again after the fix."
        yield from wrapped(f"{plural(waiting, 'check')} {said}", width)


def _summary(report: Report, width: int | None) -> Iterator[Text]:
    """Which targets did not pass, and how many passed."""
    for name, why in not_passed(report):
        head = Text.assemble(("not passed", "bold red"), " " * _GAP)
        yield from hanging(head, [(f"{name}: {why}", "")], width)
    style = "bold red"
    if report.passed:
        style = "bold green" if report.complete else "bold yellow"
    yield Text(f"{total(report)}.", style=style)
