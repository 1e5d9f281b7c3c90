"""What an audit of sources reports: findings, their fixes, and the report of a run.

Plain data: nothing here runs a rule or formats a line. A finding keeps a bounded part of its
source, so that what is reported of a file grows with the number of findings alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .lines import Lines
from .reporting.findings import SCHEMA, Rule, Severity

CUT = "…"
"""Stands for what is left out."""

_LONGEST_LINE = 400  # characters of a source line that a finding keeps
_BEFORE = 200  # of these, how many before the marked place
_LONGEST_WORDS = 600  # characters of a message or a hint
_TAIL = 200  # of these, how many of the end
_LINE_END = re.compile(r"[\r\n]")


def excerpt(text: str, offset: int, column: int) -> tuple[str, int]:
    r"""Returns the line around a place, and the column of its first character.

    Of a long line, the part around the place is returned; an ellipsis stands for each end that is
    cut off, in the column of a character of the line.

    Args:
        text: The source.
        offset: The place in it.
        column: Its column, from 1.

    Example:
        >>> excerpt("a = 1\nb = 2\n", 10, 5)
        ('b = 2', 1)
        >>> line, first = excerpt("x" * 1000 + "!" + "x" * 1000, 1000, 1001)
        >>> line[1001 - first], line[0], line[-1], len(line)
        ('!', '…', '…', 400)
    """
    start = offset - min(column - 1, _BEFORE)
    ended = _LINE_END.search(text, offset, start + _LONGEST_LINE)
    end = min(start + _LONGEST_LINE, len(text)) if ended is None else ended.start()
    first = column - (offset - start)
    line = text[start:end]
    if first > 1:
        line = CUT + line[1:]
    if ended is None and text[end : end + 1] not in ("", "\r", "\n"):
        line = line[:-1] + CUT
    return line, first


def _shortened(words: str) -> str:
    """Returns a message without its middle, if it is long: it may quote source text."""
    if len(words) <= _LONGEST_WORDS:
        return words
    return words[: _LONGEST_WORDS - _TAIL] + CUT + words[-_TAIL:]


@dataclass(frozen=True)
class Edit:
    """Text that replaces other text.

    Attributes:
        start: Where the old text begins, in characters from the beginning of the source.
        end: Where it ends; equal to `start` to insert.
        text: The new text.
    """

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Fix:
    """A change that fixes a finding.

    Attributes:
        does: A short imperative: `add training=self.training`.
        edits: All of them are made, or none.
        safe: True if the fixed program can only be what was meant.
    """

    does: str
    edits: tuple[Edit, ...]
    safe: bool = True


@dataclass(frozen=True)
class SourceFinding:
    """A mistake in a source file.

    Attributes:
        path: The file, as it was named.
        line: From 1.
        column: From 1, in characters.
        end_line: The line on which the marked text ends.
        end_column: The column after its last character.
        code: The rule's code.
        name: The rule's name.
        severity: The rule's, or a lower one where the rule is less certain.
        message: One line: what the source does, and why it is wrong. Of a long one, which quotes
            source text, the middle is left out.
        hint: What to write instead, in a few words; may be empty.
        source: The first line of the marked text; of a long one, an `excerpt`.
        fix: The fix, if there is one.
        cell: The cell of a notebook, from 1; 0 in other files. Lines count from the cell's first.
        file_line: For a notebook, the line in its JSON text, for tools that know no cells.
        source_column: The column of the first character of `source`, from 1.
    """

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    code: str
    name: str
    severity: Severity
    message: str
    hint: str = ""
    source: str = ""
    fix: Fix | None = None
    cell: int = 0
    file_line: int = 0
    source_column: int = 1

    def __post_init__(self) -> None:
        for name in ("message", "hint"):
            object.__setattr__(self, name, _shortened(getattr(self, name)))

    @property
    def said(self) -> str:
        """The message with the hint, and in a notebook with the place in it."""
        place = f"cell {self.cell}, line {self.line}: " if self.cell else ""
        return place + self.message + (f" ({self.hint})" if self.hint else "")

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON-ready data."""
        return {
            "path": self.path,
            "cell": self.cell,
            "line": self.line,
            "column": self.column,
            "end_line": self.end_line,
            "end_column": self.end_column,
            "severity": self.severity,
            "code": self.code,
            "name": self.name,
            "message": self.message,
            "hint": self.hint,
            "fixable": self.fix is not None,
            "fix": None if self.fix is None else {"does": self.fix.does, "safe": self.fix.safe},
        }


def finding_at(
    lines: Lines,
    path: str,
    rule: Rule,
    span: tuple[int, int],
    message: str,
    hint: str = "",
    fix: Fix | None = None,
    severity: Severity | None = None,
) -> SourceFinding:
    """Returns a finding on a part of a text, by default with the severity of its rule."""
    start, end = span
    line, column = lines.place(start)
    source, first = excerpt(lines.text, start, column)
    place = (path, line, column, *lines.place(end))
    kind = (rule.code, rule.name, severity or rule.severity)
    return SourceFinding(*place, *kind, message, hint, source, fix, source_column=first)


@dataclass(frozen=True)
class SourceReport:
    """The result of an audit of sources.

    Attributes:
        findings: By path, then by place.
        files: How many files were audited.
        problems: What could not be audited: one line each, with the path.
        seconds: Wall-clock time.
        fixed: How many findings `--fix` has fixed; they are not in `findings`.
        complete: False when the run was interrupted, a rule was not applied to a whole file, or a
            file has more findings than are reported.
        ignored: How many findings `--add-ignores` has silenced; they are not in `findings`.
        interrupted: Whether Ctrl-C, or a signal to end, ended the run.
    """

    findings: tuple[SourceFinding, ...]
    files: int
    problems: tuple[str, ...] = ()
    seconds: float = 0.0
    fixed: int = 0
    complete: bool = True
    ignored: int = 0
    interrupted: bool = False

    @property
    def errors(self) -> tuple[SourceFinding, ...]:
        """The findings that are errors."""
        return tuple(f for f in self.findings if f.severity == "error")

    @property
    def passed(self) -> bool:
        """True when the run is complete and found no error."""
        return self.complete and not self.errors

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready data."""
        return {
            "schema": SCHEMA,
            "findings": [f.to_dict() for f in self.findings],
            "files": self.files,
            "problems": list(self.problems),
            "fixed": self.fixed,
            "ignored": self.ignored,
            "complete": self.complete,
            "seconds": round(self.seconds, 3),
        }
