"""What a comparison says: plain data, for people, programs and renderers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ..reporting.findings import Severity
from .results import TargetReport

Group = Literal["check", "policy", "law"]

SCHEMA = 1


@dataclass(frozen=True)
class Row:
    """One aspect of two targets, side by side.

    Attributes:
        group: `"check"`: what a check of the verifier said; `"policy"`: what is done in a case that
            is seen exactly; `"law"`: what was measured of the distribution.
        aspect: What was looked at; unique within its group.
        a: What the first target does.
        b: What the second does.
        differs: None where it was not seen on both sides.
        severity: What a difference means to somebody who puts one in the place of the other:
            `"error"`, other results; `"advice"`, another mask for the same seed, other errors for
            wrong arguments, and the like.
        sees: The smallest difference that would show with power .99, in the units of `a` and `b`
            and where masks are of independent elements; None where what is seen is exact.
        p_value: Of the two-sample tests of this row, times their number; None where there are none.
    """

    group: Group
    aspect: str
    a: str
    b: str
    differs: bool | None
    severity: Severity
    sees: float | None = None
    p_value: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON-ready data."""
        return {
            "group": self.group,
            "aspect": self.aspect,
            "a": self.a,
            "b": self.b,
            "differs": self.differs,
            "severity": self.severity,
            "sees": self.sees,
            "p_value": self.p_value,
        }


@dataclass(frozen=True)
class Comparison:
    """Where two dropouts differ.

    Attributes:
        a: The verifier's report on the first.
        b: The verifier's report on the second.
        rows: All that was looked at.
        false_alarm_rate: Upper bound on the chance that two correct dropouts are told apart by a
            test of chance.
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
        """The rows that differ, in the order they were looked at."""
        return (row for row in self.rows if row.differs)

    @property
    def same(self) -> bool:
        """True when the comparison is complete, and every row seen on both sides and equal."""
        return self.complete and all(row.differs is False for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON-ready data; `verify` gives each target's whole report."""
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
