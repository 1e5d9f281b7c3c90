"""Renders reports as text: findings, each with its source line and a mark, then the verdict.

Without a width, nothing wraps: a finding takes one line, for pipes and `grep`, and its source
follows. With a width, messages wrap, and a long source line is cut around the mark.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Literal

from rich.cells import cell_len
from rich.text import Text

from ..findings import CUT, SourceFinding, SourceReport
from ..registry import RULES
from ..reporting.lines import clean, fill, joined, plural, wrapped
from ._words import file_of, tags, verdict_line, verdict_style

_STYLE = {"error": "bold red", "advice": "yellow"}
_NUMBER_WIDTH = 6
_TAB = 4
_LONGEST = 120  # cells of a source line when the width is not known
_LEAST = 24
_BEFORE = 16  # cells shown before the mark when the beginning of a line is cut off
_COPIES = 3  # files with the same finding, from which on it is printed once
_SHOWN = 5


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
        detail: `"source"`: each finding with its source line, and findings that are alike in three
            files or more once; `"rules"`: each finding, and what its rule requires; `"quiet"`: the
            findings without their source.

    Returns:
        Lines that each end in a newline.
    """
    lines: list[Text] = []
    for finding, others in _grouped(report.findings, detail):
        lines += _finding(finding, width, detail)
        lines += _also(others, width)
    lines += wrapped(verdict_line(report), width, verdict_style(report))
    return joined(lines, styled)


def _grouped(
    findings: Sequence[SourceFinding], detail: str
) -> Iterator[tuple[SourceFinding, list[SourceFinding]]]:
    """Yields the findings in order, each with those that it stands for, in copies of its file."""
    if detail != "source":  # in the other forms each is printed
        yield from ((finding, []) for finding in findings)
        return
    alike: dict[tuple[str, ...], list[SourceFinding]] = {}
    for finding in findings:
        alike.setdefault(_likeness(finding), []).append(finding)
    for finding in findings:
        group = alike[_likeness(finding)]
        is_group = len({each.path for each in group}) >= _COPIES
        if not is_group:
            yield finding, []
        elif finding is group[0]:
            yield finding, group[1:]


def _likeness(finding: SourceFinding) -> tuple[str, ...]:
    """Returns what findings in copies of a file have in common; numbers may differ."""
    said = (finding.message, finding.hint, finding.source)
    fix = "" if finding.fix is None else f"{finding.fix.does}{finding.fix.safe}"
    return (finding.code, finding.severity, fix) + tuple(
        re.sub(r"\d+", "0", " ".join(each.split())) for each in said
    )


def _also(others: Sequence[SourceFinding], width: int | None) -> Iterator[Text]:
    """Yields a line of how many more there are, and where the first of them are."""
    if not others:
        return
    files = len({each.path for each in others})
    places = [f"{file_of(each)}:{each.line}" for each in others[:_SHOWN]]
    more = ", ...; -v prints all" if len(others) > _SHOWN else ""
    said = f"and {len(others)} like it, in {plural(files, 'file')}: {', '.join(places)}{more}"
    yield from _dim(said, width)


def _dim(said: str, width: int | None) -> Iterator[Text]:
    """Yields what is said of a finding, indented below it."""
    room = None if width is None else _room(width, _TAB)
    yield from (Text(" " * _TAB) + line for line in wrapped(said, room, "dim"))


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
        yield from _dim(f"{rule.summary} (torchdropout-audit --explain {rule.name})", width)


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
