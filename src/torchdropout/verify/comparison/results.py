"""The result of a comparison: plain data, for people, programs and renderers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ...reporting.findings import Severity
from ..results import TargetReport

Group = Literal["check", "policy"]

SCHEMA = 1


@dataclass(frozen=True)
class Row:
    """One aspect of two targets, next to each other.

    Attributes:
        group: `"check"`: the result of a check of the verifier; `"policy"`: the behaviour in a case
            that is observed exactly.
        aspect: What was compared; unique within its group.
        a: What the first target does.
        b: What the second does.
        differs: None where nothing shows it: one side was not observed, or both fail a check in
            other words.
        severity: What a difference means to a user who replaces one by the other: `"error"`,
            other results; `"advice"`, for example another mask for the same seed or other errors
            for wrong arguments.
    """

    group: Group
    aspect: str
    a: str
    b: str
    differs: bool | None
    severity: Severity

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON-ready data."""
        return {
            "group": self.group,
            "aspect": self.aspect,
            "a": self.a,
            "b": self.b,
            "differs": self.differs,
            "severity": self.severity,
        }


@dataclass(frozen=True)
class Comparison:
    """Where two dropouts differ.

    Attributes:
        a: The verifier's report on the first.
        b: The verifier's report on the second.
        rows: Everything that was compared.
        false_alarm_rate: Upper bound on the probability that a check reports a difference between
            two correct dropouts.
        seconds: Wall-clock time.
        complete: False when the run was interrupted.
    """

    a: TargetReport
    b: TargetReport
    rows: tuple[Row, ...]
    false_alarm_rate: float
    seconds: float = 0.0
    complete: bool = True

    @property
    def differences(self) -> Iterator[Row]:
        """The rows that differ, in the order of comparison."""
        return (row for row in self.rows if row.differs)

    @property
    def same(self) -> bool:
        """True when the comparison is complete and every row was seen to be equal on both sides."""
        return self.complete and all(row.differs is False for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON-ready data; for a target's whole report, use `verify`."""
        return {
            "schema": SCHEMA,
            "same": self.same,
            "complete": self.complete,
            "level": self.a.level,
            "seed": self.a.seed,
            "false_alarm_rate": self.false_alarm_rate,
            "a": _side(self.a),
            "b": _side(self.b),
            "rows": [row.to_dict() for row in self.rows],
            "seconds": round(self.seconds, 3),
        }


def _side(report: TargetReport) -> dict[str, Any]:
    return {
        "target": report.target,
        "description": report.description,
        "passed": report.passed,
        "findings": [finding.name for finding in report.findings],
    }
