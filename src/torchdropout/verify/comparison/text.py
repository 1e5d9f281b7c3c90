"""Renders a comparison as text: the differences as a table, then the rest in a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from rich.text import Text

from ...reporting.lines import clean, fill, joined, plural, wrapped
from .results import Comparison, Group, Row

_GAP = 2
# With fewer columns than this for each side, a and b are printed one below the other.
_LEAST_COLUMN = 22
_MOST_ASPECT = 34
# Without a width nothing wraps: the first side is padded to this; a longer one shifts the rest.
_MOST_FIRST = 60
_PLURALS: dict[Group, str] = {"policy": "policies", "check": "checks"}
_STYLE = {"error": "bold red", "advice": "yellow"}
_LABEL = {"error": "DIFFERS", "advice": "differs"}
_LABEL_WIDTH = len("DIFFERS")
# A limit on the names in a line, unless everything is listed.
_MOST_NAMES = 5
_SKIPPED, _NOT_CHECKED = "skipped: ", "not checked: "


def render_comparison(
    comparison: Comparison,
    width: int | None = None,
    styled: bool = False,
    detail: Literal["quiet", "groups", "checks"] = "groups",
) -> str:
    """Render a comparison as text.

    Args:
        comparison: What to render.
        width: Columns of the terminal; None for no wrapping.
        styled: Whether to colour it with ANSI codes.
        detail: `"checks"`: everything that was compared; `"groups"`: the differences, and why rows
            were not compared; `"quiet"`: the verdict only.

    Returns:
        Lines that each end in a newline.
    """
    differing = sorted(comparison.differences, key=lambda row: row.severity != "error")
    verdict = _verdict(comparison, differing, width)
    if detail == "quiet":
        return joined(verdict, styled)
    lines = [*_sides(comparison, width), Text()]
    every = detail == "checks"
    if differing:
        lines += [*_table(differing, width), Text()]
    lines += [*_same(comparison, width, every), Text(), *verdict]
    return joined(lines, styled)


def _sides(comparison: Comparison, width: int | None) -> Iterator[Text]:
    """Which target is a and which is b, and how each was interpreted."""
    for letter, report in (("a", comparison.a), ("b", comparison.b)):
        yield from _hung(Text(f"{letter}  ", style="cyan"), report.target, width, "bold")
        yield from _hung(Text("   "), report.description, width)
        errors = [finding.name for finding in report.findings if finding.severity == "error"]
        if errors:
            said = f"fails {plural(len(errors), 'check')}: {_some(errors)}"
            yield from _hung(Text("   "), said, width, "red")
    yield from wrapped(
        f"level {comparison.a.level}   seed {comparison.a.seed}   "
        f"false-alarm rate {comparison.false_alarm_rate:.2g}",
        width,
        style="dim",
    )


def _table(rows: Sequence[Row], width: int | None) -> Iterator[Text]:
    """The rows in columns; on a narrow terminal, one below the other."""
    texts = [(clean(row.a), clean(row.b)) for row in rows]
    aspect = min(max(len(clean(row.aspect)) for row in rows), _MOST_ASPECT)
    lead = _LABEL_WIDTH + _GAP + aspect + _GAP
    room = _MOST_FIRST if width is None else (width - lead - _GAP) // 2
    if room < _LEAST_COLUMN:
        yield from _stacked(rows, width)
        return
    first = min(max([1, *(len(a) for a, _ in texts)]), room)
    last = room if width is None else width - lead - first - _GAP
    head = f"{'':{lead}}{'a':<{first}}{'':{_GAP}}b"
    yield Text(head, style="cyan")
    for row, (a, b) in zip(rows, texts, strict=True):
        label, style = _LABEL[row.severity], _STYLE[row.severity]
        cells = (
            [label],
            _cell(clean(row.aspect), aspect, width),
            _cell(a, first, width),
            _cell(b, last, width),
        )
        for i in range(max(map(len, cells))):
            shown = [cell[i] if i < len(cell) else "" for cell in cells]
            line = Text.assemble(
                (f"{shown[0]:<{_LABEL_WIDTH}}", style),
                " " * _GAP,
                f"{shown[1]:<{aspect}}{'':{_GAP}}{shown[2]:<{first}}{'':{_GAP}}{shown[3]}",
            )
            line.rstrip()
            yield line


def _cell(text: str, room: int, width: int | None) -> list[str]:
    return [text] if width is None else fill(text, room)


def _stacked(rows: Sequence[Row], width: int | None) -> Iterator[Text]:
    for row in rows:
        label, style = _LABEL[row.severity], _STYLE[row.severity]
        yield from _hung(Text.assemble((label, style), " " * _GAP), row.aspect, width)
        for letter, text in (("a", row.a), ("b", row.b)):
            yield from _hung(Text.assemble("   ", (letter, "cyan"), "  "), text, width)


def _hung(head: Text, text: str, width: int | None, style: str = "") -> Iterator[Text]:
    """The head, then the text, wrapped at the column where it begins."""
    room = None if width is None else max(width - head.cell_len, _LEAST_COLUMN)
    lines = [clean(text)] if room is None else fill(text, room)
    for i, line in enumerate(lines):
        yield Text.assemble(head if not i else " " * head.cell_len, (line, style))


def _some(names: Sequence[str], most: int = _MOST_NAMES) -> str:
    """The first of the names, and how many are left."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _same(comparison: Comparison, width: int | None, every: bool) -> Iterator[Text]:
    """What does not differ, by group, and the rows that were not observed on both sides."""
    parts = []
    for group, plurals in _PLURALS.items():
        rows = [row for row in comparison.rows if row.group == group]
        equal = [row for row in rows if row.differs is False]
        if not equal:
            continue
        some = "all" if len(equal) == len(rows) else f"{len(equal)} of"
        names = f": {', '.join(_brief(equal))}" if every and group != "check" else ""
        parts.append(f"{some} {len(rows)} {plurals}{names}")
    if parts:
        yield from _hung(Text("the same: "), "; ".join(parts), width)
    unseen: dict[str, list[str]] = {}
    for row in comparison.rows:
        if row.differs is None:
            unseen.setdefault(_why_unseen(row), []).append(row.aspect)
    for why, aspects in unseen.items():
        names = _some(aspects, len(aspects) if every else _MOST_NAMES)
        said = f"{len(aspects)}, since {why}: {names}"
        yield from _hung(Text("not compared: "), said, width)


def _why_unseen(row: Row) -> str:
    """Which side was not observed, and why."""
    sides = {"a": row.a, "b": row.b}
    skipped = {side: text for side, text in sides.items() if text.startswith(_SKIPPED)}
    said = [
        f"{side}: {text.removeprefix(_SKIPPED).removeprefix(_NOT_CHECKED)}"
        for side, text in (skipped or sides).items()
    ]
    return "; ".join(said)


def _brief(rows: Sequence[Row]) -> list[str]:
    """The aspects; those with a common beginning are named once."""
    counts: dict[str, int] = {}
    for row in rows:
        head = row.aspect.partition(",")[0]
        counts[head] = counts.get(head, 0) + 1
    return [head if count == 1 else f"{head} ({count})" for head, count in counts.items()]


def _verdict(comparison: Comparison, differing: Sequence[Row], width: int | None) -> list[Text]:
    seconds = f"{comparison.seconds:.1f} s"
    if not comparison.complete:
        return wrapped(f"interrupted after {seconds}: no verdict.", width, style="bold red")
    unseen = sum(row.differs is None for row in comparison.rows)
    if not differing and unseen:
        said = f"no difference seen in {seconds}, {unseen} not compared: no verdict."
        return wrapped(said, width, style="bold yellow")
    if not differing:
        return wrapped(f"no difference in {seconds}: the same.", width, style="bold green")
    errors = sum(row.severity == "error" for row in differing)
    count = plural(len(differing), "difference")
    kind = f"{errors} of them in results" if errors else "none of them in results"
    return wrapped(f"{count} in {seconds}, {kind}.", width, style="bold red")
