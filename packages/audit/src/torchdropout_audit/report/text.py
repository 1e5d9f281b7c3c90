"""Renders reports as text: findings, each with its source line and a mark, then the verdict.

Without a width, nothing wraps: a finding takes one line, for pipes and `grep`, and its source
follows. With a width, messages wrap, and a long source line is cut around the mark.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Literal

from rich.cells import cell_len
from rich.text import Text

from ..findings import CUT, SourceFinding, SourceReport
from ..registry import RULES
from ..reporting.lines import clean, fill, joined, wrapped
from ._words import file_of, tags, verdict_line, verdict_style

_STYLE = {"error": "bold red", "advice": "yellow"}
_NUMBER_WIDTH = 6
_TAB = 4
_LONGEST = 120  # cells of a source line when the width is not known
_LEAST = 24
_BEFORE = 16  # cells shown before the mark when the beginning of a line is cut off


def render_text(
    report: SourceReport,
    *,
    width: int | None = None,
    styled: bool = False,
    detail: Literal["quiet", "source", "rules"] = "source",
) -> str:
    """Renders a report for people.

    Args:
        report: What to render.
        width: Columns of the terminal; with None nothing wraps.
        styled: Whether to add ANSI colours.
        detail: `"source"`: each finding with its source line; `"rules"`: what its rule requires,
            too; `"quiet"`: the findings without their source.

    Returns:
        Lines that each end in a newline.
    """
    lines: list[Text] = []
    for finding in report.findings:
        lines += _finding(finding, width, detail)
    lines += wrapped(verdict_line(report), width, verdict_style(report))
    return joined(lines, styled)


def _room(width: int, used: int) -> int:
    """Returns the cells that are left of a width, so many that a word has room."""
    return max(width - used, _LEAST)


def _finding(finding: SourceFinding, width: int | None, detail: str) -> Iterator[Text]:
    place = f"{file_of(finding)}:{finding.line}:{finding.column}"
    style = _STYLE[finding.severity]
    head = Text.assemble((place, "bold"), "  ", (finding.code, style), " ", finding.name)
    message, marks = clean(finding.message), tags(finding)
    line = Text.assemble(head, "  ", message, (marks, "cyan"))
    if width is None or line.cell_len <= width:
        yield line
    else:
        yield head
        for part in fill(message + marks, _room(width, _TAB)):
            yield Text(" " * _TAB + part)
    if finding.source and detail != "quiet":
        yield from _source(finding, width, style)
    rule = RULES.get(finding.name) if detail == "rules" else None
    if rule is not None:
        said = f"{rule.summary} (torchdropout-audit --explain {rule.name})"
        room = None if width is None else _room(width, _TAB)
        yield from (Text(" " * _TAB) + line for line in wrapped(said, room, "dim"))


def _source(finding: SourceFinding, width: int | None, style: str) -> Iterator[Text]:
    """Yields the source line, the mark below it, and what to write instead."""
    gutter = max(_NUMBER_WIDTH, len(str(finding.line)))
    room = _LONGEST if width is None else _room(width, gutter + 3)
    is_one_line = finding.end_line == finding.line
    first = finding.column - finding.source_column
    last = finding.end_column - finding.source_column if is_one_line else len(finding.source)
    shown, before, marked = _cut(finding.source.rstrip(), first, last, room)
    yield Text.assemble((f"{finding.line:>{gutter}} | ", "blue"), shown)
    below = Text.assemble((" " * gutter + " | ", "blue"), " " * before, ("^" * marked, style))
    hint = clean(finding.hint)
    if hint and (width is None or below.cell_len + 1 + cell_len(hint) <= width):
        below.append(f" {hint}", style)
        hint = ""
    yield below
    for part in fill(hint, room) if hint else ():
        yield Text.assemble((" " * gutter + " | ", "blue"), (part, style))


def _cut(source: str, first: int, last: int, room: int) -> tuple[str, int, int]:
    """Cuts a line to the room that there is.

    Args:
        source: The line.
        first: The first marked character.
        last: The one after the last marked character.
        room: Cells.

    Returns:
        The text, the number of cells before the mark, and of cells marked, at least 1.
    """
    cells = _cells(source)
    last = min(max(last, first + 1), len(cells))
    first = min(first, last - 1)
    widths = [cell_len(cell) for cell in cells]
    start, end = 0, len(cells)
    if sum(widths) > room:
        left = room - 2  # a cell for each ellipsis
        if sum(widths[:last]) > left:  # the mark does not fit together with all that is before it
            while sum(widths[start:first]) > _BEFORE:
                start += 1
        end = start
        while end < len(cells) and left >= widths[end]:
            left -= widths[end]
            end += 1
    front, back = CUT if start else "", CUT if end < len(cells) else ""
    shown = front + "".join(cells[start:end]) + back
    before = len(front) + sum(widths[start:first])
    return shown, before, max(sum(widths[first : min(last, end)]), 1)


def _cells(source: str) -> list[str]:
    """Returns what is shown for each character: spaces for tabs and control characters."""
    cells: list[str] = []
    column = 0
    for character in source:
        if character == "\t":
            shown = " " * (_TAB - column % _TAB)
        elif character.isprintable() or unicodedata.combining(character):
            shown = character
        else:
            shown = " "
        cells.append(shown)
        column += cell_len(shown)
    return cells
