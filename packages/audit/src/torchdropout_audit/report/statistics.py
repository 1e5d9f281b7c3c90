"""Renders how often each rule is broken, as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.text import Text

from ..findings import SourceFinding, SourceReport
from ..reporting.lines import joined, plural, wrapped
from ._words import ascii_json, verdict_line, verdict_style


@dataclass(frozen=True)
class _Row:
    """How often a rule was found.

    Attributes:
        code: The rule's code.
        name: The rule's name.
        count: How many findings there are.
        errors: How many of them are errors; the others are advice.
        fixable: How many have a safe fix.
        fixable_unsafe: How many have a fix that is not safe.
    """

    code: str
    name: str
    count: int
    errors: int
    fixable: int
    fixable_unsafe: int


def render_statistics(
    report: SourceReport, *, width: int | None = None, styled: bool = False
) -> str:
    """Renders a line per rule, the most frequent first, then the verdict.

    Args:
        report: What to count.
        width: Columns of the terminal, to which the verdict is wrapped; with None nothing wraps.
        styled: Whether to add ANSI colours.

    Returns:
        Lines that each end in a newline.
    """
    rows = _rows(report.findings)
    digits = max((len(str(row.count)) for row in rows), default=0)
    name_width = max((len(row.name) for row in rows), default=0)
    lines = []
    for row in rows:
        advice = row.count - row.errors
        kinds = [plural(row.errors, "error")] if row.errors else []
        kinds += [f"{advice} advice"] if advice else []
        kinds += [f"{row.fixable} fixable"] if row.fixable else []
        kinds += [f"{row.fixable_unsafe} fixable, unsafe"] if row.fixable_unsafe else []
        style = "bold red" if row.errors else "yellow"
        lines.append(
            Text.assemble(
                (f"{row.count:>{digits}}", "bold"),
                "  ",
                (row.code, style),
                f" {row.name:<{name_width}}  {', '.join(kinds)}",
            )
        )
    lines += wrapped(verdict_line(report), width, verdict_style(report))
    return joined(lines, styled)


def render_statistics_json(report: SourceReport) -> str:
    """Renders a report as JSON text, with `statistics` in place of `findings`.

    Example:
        >>> '"statistics": []' in render_statistics_json(SourceReport((), files=2))
        True
    """
    data = report.to_dict()
    rows = [asdict(row) for row in _rows(report.findings)]
    data = {("statistics" if key == "findings" else key): data[key] for key in data}
    return ascii_json(data | {"statistics": rows})


def _rows(findings: Sequence[SourceFinding]) -> list[_Row]:
    """Returns the rows, by how often a rule was found and then by its code."""
    errors = Counter(f.code for f in findings if f.severity == "error")
    fixable = Counter((f.code, f.fix.safe) for f in findings if f.fix is not None)
    counted = Counter((f.code, f.name) for f in findings)
    rows = [
        _Row(code, name, count, errors[code], fixable[code, True], fixable[code, False])
        for (code, name), count in counted.items()
    ]
    return sorted(rows, key=lambda row: (-row.count, row.code))
