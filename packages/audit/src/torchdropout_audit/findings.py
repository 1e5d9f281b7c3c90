"""What an audit of sources reports: findings, their fixes, and the report of a run.

Plain data: nothing here runs a rule or formats a line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .reporting.findings import SCHEMA, Severity


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
        message: One line: what the source does, and why it is wrong.
        hint: What to write instead, in a few words; may be empty.
        source: The first line of the marked text.
        fix: The fix, if there is one.
        cell: The cell of a notebook, from 1; 0 in other files. Lines count from the cell's first.
        region: For a notebook, the place in its JSON text, for tools that know no cells: line,
            column, end line and end column.
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
    region: tuple[int, int, int, int] | None = None

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


@dataclass(frozen=True)
class SourceReport:
    """The result of an audit of sources.

    Attributes:
        findings: By path, then by place.
        files: How many files were audited.
        problems: What could not be audited: one line each, with the path.
        seconds: Wall-clock time.
        fixed: How many findings `--fix` has fixed; they are not in `findings`.
        complete: False when the run was interrupted, or a rule was not applied to a whole file.
        ignored: How many findings `--add-ignores` has silenced; they are not in `findings`.
        interrupted: Whether Ctrl-C ended the run.
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
            "mended": self.fixed,  # the key is part of schema 1
            "ignored": self.ignored,
            "complete": self.complete,
            "seconds": round(self.seconds, 3),
        }
