"""What a judge says: rules, results, findings and reports.

Shared by the verifier and the audit, and the only module the renderers know. Nothing here runs a
check or formats a line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .errors import VerificationError

Severity = Literal["error", "advice"]
Status = Literal["ok", "fail", "skip"]
Figure = str | int | float | bool | None | Sequence[Any] | Mapping[str, Any]

SCHEMA = 1


@dataclass(frozen=True)
class Rule:
    """One thing that can be wrong, under a stable code.

    Attributes:
        code: `TD` and three digits; never reused.
        name: Kebab-case, what people type.
        group: The group it is listed under.
        severity: `"error"` means the target is wrong, `"advice"` that it could serve people better.
        summary: One line: what is required.
        explain: What is measured, why it matters, how to mend it.
        broken: Source text of a dropout that breaks the rule; empty where none says more.
        mended: The same, mended.
        evidence: Where the fault was met: threads of issue trackers, papers, packages.
    """

    code: str
    name: str
    group: str
    severity: Severity
    summary: str
    explain: str
    broken: str = ""
    mended: str = ""
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
            "figures": _plain(self.figures),
        }


@dataclass(frozen=True)
class CheckResult:
    """What one check said of one target.

    Attributes:
        rule: The rule it decides.
        status: `"ok"`, `"fail"`, or `"skip"` when the question does not apply to the target.
        message: One line: what was seen.
        figures: The numbers behind the message.
        sees: The smallest fault it would catch with power .99, in words; empty for exact checks.
        seconds: Wall-clock time.
    """

    rule: Rule
    status: Status
    message: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    sees: str = ""
    seconds: float = 0.0

    @property
    def finding(self) -> Finding | None:
        """The finding of a failed check, else None."""
        if self.status != "fail":
            return None
        rule = self.rule
        return Finding(rule.code, rule.name, rule.severity, self.message, self.figures)

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON-ready data."""
        return {
            "code": self.rule.code,
            "name": self.rule.name,
            "group": self.rule.group,
            "severity": self.rule.severity,
            "status": self.status,
            "message": self.message,
            "figures": _plain(self.figures),
            "sees": self.sees,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class TargetReport:
    """All that was said of one target.

    Attributes:
        target: Its name, as the caller gave it.
        description: How it was understood: kind, how it was built, which p.
        level: `quick`, `standard` or `thorough`.
        seed: The seed of the run.
        false_alarm_rate: Upper bound on the chance that a correct target gets any finding.
        checks: In the order of the table.
        seconds: Wall-clock time.
        complete: False when the run was interrupted: the checks are those that had ended.
        spec: What the target claims to be.
        file: The file that defines it; empty where none is known.
        line: The line in that file, from 1; 0 where none is known.
        known: Codes whose findings a baseline accepts: they are listed, and fail nothing.
    """

    target: str
    description: str
    level: str
    seed: int
    false_alarm_rate: float
    checks: tuple[CheckResult, ...]
    seconds: float = 0.0
    complete: bool = True
    spec: str = "plain"
    file: str = ""
    line: int = 0
    known: frozenset[str] = frozenset()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings, in the order of the checks; those a baseline accepts too."""
        return tuple(f for f in (check.finding for check in self.checks) if f is not None)

    @property
    def new_findings(self) -> tuple[Finding, ...]:
        """The findings that no baseline accepts."""
        return tuple(f for f in self.findings if f.code not in self.known)

    @property
    def passed(self) -> bool:
        """True when the run is complete and no new finding is an error."""
        return self.complete and not any(f.severity == "error" for f in self.new_findings)

    def to_dict(self) -> dict[str, Any]:
        """The report of this target as JSON-ready data."""
        return {
            "target": self.target,
            "description": self.description,
            "spec": self.spec,
            "file": self.file,
            "line": self.line,
            "level": self.level,
            "seed": self.seed,
            "false_alarm_rate": self.false_alarm_rate,
            "passed": self.passed,
            "complete": self.complete,
            "known": sorted(self.known),
            "findings": [f.to_dict() for f in self.findings],
            "checks": [c.to_dict() for c in self.checks],
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class Report:
    """The reports of one run, a target each."""

    targets: tuple[TargetReport, ...]

    def __iter__(self) -> Iterator[TargetReport]:
        return iter(self.targets)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of all targets."""
        return tuple(f for target in self.targets for f in target.findings)

    @property
    def new_findings(self) -> tuple[Finding, ...]:
        """The findings of all targets that no baseline accepts."""
        return tuple(f for target in self.targets for f in target.new_findings)

    @property
    def passed(self) -> bool:
        """True when every target passed."""
        return all(target.passed for target in self.targets)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready data: `{"schema": 1, "targets": [...]}`."""
        return {"schema": SCHEMA, "targets": [t.to_dict() for t in self.targets]}

    def raise_for_errors(self) -> Report:
        """Raises when a target did not pass.

        Returns:
            The report itself, so that calls chain.

        Raises:
            VerificationError: A target has an error or was interrupted; the message lists the
                targets that did not pass and their findings.

        Example:
            >>> Report(()).raise_for_errors().passed
            True
        """
        if not self.passed:
            failed = (target for target in self.targets if not target.passed)
            raise VerificationError("\n".join(map(_listed, failed)))
        return self

    def _repr_html_(self) -> str:
        """The report as a notebook shows it."""
        # Only here: data need no renderer, and a report that is never shown no matplotlib.
        from .verify.report import render_html_fragment

        return render_html_fragment(self)


@dataclass(frozen=True)
class Edit:
    """Text to put in the place of other text.

    Attributes:
        start: Where the old text begins: characters from the beginning of the source.
        end: Where it ends; `start` to insert.
        text: The new text.
    """

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Fix:
    """How a finding is mended.

    Attributes:
        does: In a few words, as an order: `add training=self.training`.
        edits: All of them are made, or none.
        safe: True where the program can do nothing else than was meant.
    """

    does: str
    edits: tuple[Edit, ...]
    safe: bool = True


@dataclass(frozen=True)
class SourceFinding:
    """A mistake in a source file.

    Attributes:
        path: The file, as it was asked for.
        line: From 1.
        column: From 1, in characters.
        end_line: The line on which the marked text ends.
        end_column: The column after its last character.
        code: The rule's code.
        name: The rule's name.
        severity: The rule's, or less: a rule may know that it is less sure here.
        message: One line: what is there, and why it is wrong.
        hint: What to write instead, in a few words; empty where nothing short can be said.
        source: The first line of the marked text.
        fix: The fix, where there is one.
        cell: The cell of a notebook, from 1; 0 in other files. Lines count from the cell's first.
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
    """What an audit of sources found.

    Attributes:
        findings: By path, then by place.
        files: How many files were audited.
        problems: What could not be audited, a line each, with its path.
        seconds: Wall-clock time.
        mended: How many findings `--fix` has mended; they are not among `findings`.
        complete: False when the run was interrupted.
    """

    findings: tuple[SourceFinding, ...]
    files: int
    problems: tuple[str, ...] = ()
    seconds: float = 0.0
    mended: int = 0
    complete: bool = True

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
            "mended": self.mended,
            "complete": self.complete,
            "seconds": round(self.seconds, 3),
        }


def _listed(target: TargetReport) -> str:
    """A target and its new findings, errors first, a line each."""
    found = sorted(target.new_findings, key=lambda finding: finding.severity != "error")
    verdict = "not a correct dropout" if target.complete else "interrupted, no verdict"
    lines = [f"{f.severity} {f.code} {f.name}: {f.message}" for f in found]
    return "\n  ".join([f"{target.target}: {verdict}", *lines])


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become their names."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
