"""What the verifier and the audit report: rules and findings.

Plain data: nothing here runs a check or formats a line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "advice"]
Figure = str | int | float | bool | None | Sequence[Any] | Mapping[str, Any]

SCHEMA = 1


@dataclass(frozen=True)
class Rule:
    """One thing that can be wrong, under a stable code.

    Attributes:
        code: `TD` and three digits; never reused.
        name: Kebab-case, as people type it.
        group: The group it is listed under.
        severity: `"error"` means that the target is wrong, `"advice"` that it could be better.
        summary: One line: what is required.
        explain: What is measured, why it matters, how to fix it.
        broken: Source text of a dropout that breaks the rule; empty where an example adds nothing.
        fixed: The same source, fixed.
        evidence: Where the fault was found: threads of issue trackers, papers, packages.
    """

    code: str
    name: str
    group: str
    severity: Severity
    summary: str
    explain: str
    broken: str = ""
    fixed: str = ""
    evidence: str = ""


@dataclass(frozen=True)
class Finding:
    """A rule that does not hold, with the figures that show it."""

    code: str
    name: str
    severity: Severity
    message: str
    figures: Mapping[str, Figure] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON-ready data."""
        return {
            "code": self.code,
            "name": self.name,
            "severity": self.severity,
            "message": self.message,
            "figures": plain(self.figures),
        }


def plain(value: Any) -> Any:
    """Replaces NaN and infinity, which JSON does not have, by their names."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
