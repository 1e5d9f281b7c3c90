"""The results of a verification: of each check, of each target, of a run.

Plain data, all that the renderers know about a run. This module runs no check and formats no text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ..errors import VerificationError
from ..reporting.findings import SCHEMA, Figure, Finding, Rule, plain

Status = Literal["ok", "fail", "skip", "late"]
Verdict = Literal["correct", "incorrect", "accepted", "none"]


@dataclass(frozen=True)
class CheckResult:
    """The result of one check of one target.

    Attributes:
        rule: The rule it decides.
        status: `"ok"`, `"fail"`, `"skip"` when the check does not apply to the target, or `"late"`
            when the time limit ended it, which is no verdict on the target.
        message: One line: what was measured.
        figures: The numbers behind the message.
        sees: The smallest fault it finds with power .99, in words; empty for exact checks.
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
            "figures": plain(self.figures),
            "sees": self.sees,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class Selection:
    """The selection of a run from the checks that apply to a target's kind.

    Attributes:
        select: The entries of `select`, as the caller gave them.
        ignore: Those of `ignore`.
        count: The number of checks that were selected.
        of: The number of checks that apply to the kind.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    count: int = 0
    of: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether no check was left out."""
        return self.count == self.of

    def to_dict(self) -> dict[str, Any]:
        """The selection as JSON-ready data."""
        return {
            "select": list(self.select),
            "ignore": list(self.ignore),
            "count": self.count,
            "of": self.of,
        }


# No check was left out.
ALL = Selection()


@dataclass(frozen=True)
class TargetReport:
    """The results of one target.

    Attributes:
        target: Its name, as the caller gave it.
        description: How it was interpreted: kind, how it was built, which p.
        level: `quick`, `standard` or `thorough`.
        seed: The seed of the run.
        false_alarm_rate: Upper bound on the chance that a correct target gets any finding.
        checks: The results, in the order of the registry.
        seconds: Wall-clock time.
        interrupted: Whether the run was interrupted: the checks are those that had ended.
        spec: What the target claims to be.
        file: The file that defines it; empty where none is known.
        line: The line in that file, from 1; 0 where none is known.
        known: Codes whose findings a baseline accepts: they are listed, but do not fail the target.
        selection: Which checks were to run. By default, all that apply.
    """

    target: str
    description: str
    level: str
    seed: int
    false_alarm_rate: float
    checks: tuple[CheckResult, ...]
    seconds: float = 0.0
    interrupted: bool = False
    spec: str = "plain"
    file: str = ""
    line: int = 0
    known: frozenset[str] = frozenset()
    selection: Selection = ALL

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings, in the order of the checks, including those a baseline accepts."""
        return tuple(f for f in (check.finding for check in self.checks) if f is not None)

    @property
    def new_findings(self) -> tuple[Finding, ...]:
        """The findings that the baseline does not accept."""
        return tuple(f for f in self.findings if f.code not in self.known)

    @property
    def complete(self) -> bool:
        """True when every check that applies to the kind has ended.

        False when the run was interrupted, when a time limit ended a check, or when `select` or
        `ignore` left checks out.
        """
        return not self.interrupted and self.selection.is_whole and not self.late

    @property
    def late(self) -> tuple[str, ...]:
        """The names of the checks that a time limit ended."""
        return tuple(check.rule.name for check in self.checks if check.status == "late")

    @property
    def passed(self) -> bool:
        """True when the run was not interrupted, no check was late and no new finding is an error.

        It says that the target is correct only if the report is `complete`; see `verdict`.
        """
        return not (self.interrupted or self.late or self._has_error)

    @property
    def _has_error(self) -> bool:
        return any(f.severity == "error" for f in self.new_findings)

    @property
    def verdict(self) -> Verdict:
        """What the run says about the target.

        `"correct"`: all checks that apply were run and found no error. `"accepted"`: all were run,
        and a baseline accepts the errors they found. `"incorrect"`: a check found an error.
        `"none"`: the run was interrupted, or found no error but left checks out or unfinished.
        """
        if not self.interrupted and self._has_error:
            return "incorrect"
        if not self.complete:
            return "none"
        has_errors = any(finding.severity == "error" for finding in self.findings)
        return "accepted" if has_errors else "correct"

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
            "interrupted": self.interrupted,
            "verdict": self.verdict,
            "selection": self.selection.to_dict(),
            "known": sorted(self.known),
            "findings": [f.to_dict() for f in self.findings],
            "checks": [c.to_dict() for c in self.checks],
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class Report:
    """The reports of one run, one per target."""

    targets: tuple[TargetReport, ...]

    # Renders a report as HTML for notebooks. Set by `torchdropout.verify`, so that this module of
    # plain data knows no renderer.
    html_renderer: ClassVar[Callable[[Report], str] | None] = None

    def __iter__(self) -> Iterator[TargetReport]:
        return iter(self.targets)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of all targets."""
        return tuple(f for target in self.targets for f in target.findings)

    @property
    def new_findings(self) -> tuple[Finding, ...]:
        """The findings of all targets that the baseline does not accept."""
        return tuple(f for target in self.targets for f in target.new_findings)

    @property
    def complete(self) -> bool:
        """True when every check that applies to each target has ended."""
        return all(target.complete for target in self.targets)

    @property
    def passed(self) -> bool:
        """True when every target passed: the checks that were run found no new error."""
        return all(target.passed for target in self.targets)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready data: `{"schema": 1, "targets": [...]}`."""
        return {"schema": SCHEMA, "targets": [t.to_dict() for t in self.targets]}

    def raise_for_errors(self) -> Report:
        """Raise an error when a target did not pass.

        Returns:
            The report itself, so that calls chain.

        Raises:
            VerificationError: A target has an error or was interrupted; the message lists the
                targets that did not pass, their findings and the checks that did not end.

        Example:
            >>> Report(()).raise_for_errors().passed
            True
        """
        if not self.passed:
            failed = (target for target in self.targets if not target.passed)
            raise VerificationError("\n".join(map(_listed, failed)))
        return self

    def _repr_html_(self) -> str | None:
        """The report as a notebook shows it."""
        return None if Report.html_renderer is None else Report.html_renderer(self)


def _listed(target: TargetReport) -> str:
    """A target and its new findings, errors first, one per line."""
    found = sorted(target.new_findings, key=lambda finding: finding.severity != "error")
    verdict = "interrupted, no verdict" if target.interrupted else "not a correct dropout"
    if target.verdict == "none" and target.late:
        verdict = f"no verdict: {', '.join(target.late)} did not end"
    lines = [f"{f.severity} {f.code} {f.name}: {f.message}" for f in found]
    return "\n  ".join([f"{target.target}: {verdict}", *lines])
