"""Reports and rules as text: one line a check, the verdict last.

Without a width, nothing wraps: a line a check, for pipes and `grep`. With one, a message wraps
under its own column. Styles are rich's, and leave the characters as they are.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.text import Text

from ...findings import CheckResult, Report, Rule, TargetReport
from ._words import clean, label, total, verdict_line

_STYLE = {"ok": "green", "FAIL": "bold red", "advice": "yellow", "known": "cyan", "skip": "dim"}
_STATUS_WIDTH = max(map(len, _STYLE))
_INDENT = 2
_GAP = 2
# Below this many columns for the message, the group gets a line of its own and gives up its column.
_NARROW_MESSAGE = 48
_LEAST_MESSAGE = 24


def render_text(report: Report, *, width: int | None = None, styled: bool = False) -> str:
    """The report as people read it.

    Args:
        report: What to render.
        width: Columns of the terminal; None to wrap nothing.
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
    return _joined(lines, styled)


def render_rule(rule: Rule, *, width: int | None = None, styled: bool = False) -> str:
    """What `explain` prints: the rule, what it requires, its explanation and examples."""
    head = Text.assemble((f"{rule.code} {rule.name}", "bold"), f"   {rule.group}   {rule.severity}")
    lines = [head, *_wrapped(rule.summary, width), Text()]
    for paragraph in textwrap.dedent(rule.explain).strip().split("\n\n"):
        lines += [*_paragraph(paragraph, width), Text()]
    for title, code in (("Broken:", rule.broken), ("Mended:", rule.mended)):
        if code:
            lines += [Text(title, style="bold"), Text(), *_code(code), Text()]
    return _joined(lines[:-1], styled)


def render_rules(rules: Sequence[Rule], *, width: int | None = None, styled: bool = False) -> str:
    """What `checks` prints: a line a rule."""
    name_width = max((len(rule.name) for rule in rules), default=0)
    group_width = max((len(rule.group) for rule in rules), default=0)
    lines = []
    for rule in rules:
        head = Text.assemble(
            f"{rule.code}  {rule.name:<{name_width}}  {rule.group:<{group_width}}  ",
            (f"{rule.severity:<6}", "red" if rule.severity == "error" else "yellow"),
            "  ",
        )
        lines += _hanging(head, [(rule.summary, "")], width)
    return _joined(lines, styled)


def _target(target: TargetReport, width: int | None) -> Iterator[Text]:
    yield from _header(target, width)
    yield Text()
    yield from _checks(target, width)
    yield Text()
    yield from _verdict(target, width)


def _header(target: TargetReport, width: int | None) -> Iterator[Text]:
    yield Text(clean(target.target), style="bold")
    yield from _wrapped(target.description, width)
    claim = f"spec {target.spec}   " if target.spec != "plain" else ""
    yield from _wrapped(
        f"{claim}level {target.level}   seed {target.seed}   "
        f"false-alarm rate of the run {target.false_alarm_rate:.2g}",
        width,
        style="dim",
    )


def _checks(target: TargetReport, width: int | None) -> Iterator[Text]:
    """A line a check, its group named where it changes."""
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
    return _hanging(head, parts, width)


def _verdict(target: TargetReport, width: int | None) -> Iterator[Text]:
    style = "bold green" if target.passed else "bold red"
    yield from _wrapped(verdict_line(target), width, style=style)
    findings = sorted(target.new_findings, key=lambda finding: finding.severity != "error")
    if findings:
        pointer = (
            f"`torchdropout explain {findings[0].name}` says why it matters and how to mend it."
        )
        yield from _wrapped(pointer, width)


def _hanging(head: Text, parts: Sequence[tuple[str, str]], width: int | None) -> list[Text]:
    """The head, then the parts, wrapped under the column where the first part begins."""
    column = head.cell_len
    room = None if width is None else max(width - column, _LEAST_MESSAGE)
    if room is None:
        return [_trimmed(Text.assemble(head, *_spaced(parts)))]
    lines: list[Text] = []
    for text, style in parts:
        lines += [Text(line, style=style) for line in _fill(text, room)]
    if len(parts) > 1 and sum(line.cell_len for line in lines) + 3 <= room:
        lines = [Text.assemble(*_spaced(parts))]
    pad = " " * column
    hung = [Text.assemble(pad if i else head, line) for i, line in enumerate(lines or [Text()])]
    return [_trimmed(line) for line in hung]


def _spaced(parts: Sequence[tuple[str, str]]) -> list[str | tuple[str, str]]:
    out: list[str | tuple[str, str]] = []
    for text, style in parts:
        out += ["   "] if out else []
        out.append((clean(text), style))
    return out


def _trimmed(line: Text) -> Text:
    line.rstrip()
    return line


def _wrapped(text: str, width: int | None, style: str = "") -> list[Text]:
    lines = [clean(text)] if width is None else _fill(text, width)
    return [Text(line, style=style) for line in lines]


def _paragraph(text: str, width: int | None) -> list[Text]:
    """A paragraph, filled; one with an indented line (code, a list) stays as it is."""
    lines = text.splitlines()
    if any(line.startswith((" ", "\t", "- ")) for line in lines):
        return [Text(line) for line in lines]
    return _wrapped(text, width or 100)


def _code(text: str) -> list[Text]:
    """Source text, indented and never wrapped."""
    lines = textwrap.dedent(text.expandtabs()).strip("\n").splitlines()
    return [Text(f"    {clean(line)}".rstrip()) for line in lines]


def _fill(text: str, width: int) -> list[str]:
    return textwrap.wrap(clean(text), max(width, 1), break_on_hyphens=False) or [""]


def _joined(lines: Iterable[Text], styled: bool) -> str:
    if not styled:
        return "".join(f"{line.plain}\n" for line in lines)
    buffer = io.StringIO()
    # All is given, so that nothing is read from the environment: whether to style is decided above.
    console = Console(
        file=buffer,
        force_terminal=True,
        color_system="standard",
        no_color=False,
        width=10**6,
        legacy_windows=False,
    )
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)
    return buffer.getvalue()
