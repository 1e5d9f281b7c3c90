"""What a model audit reports: sites and findings. Plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from ..reporting.findings import SCHEMA, Finding

UNKNOWN_KIND = "unknown random op"


@dataclass(frozen=True)
class AuditedSite:
    """A place in a model where dropout acts, or was meant to act.

    Attributes:
        name: The module it acts in, by its path in the model; empty for the model itself. A module
            that is not registered in the model is in angle brackets: `head.<Dropout>`.
        kind: The module's class, the function's name, or `unknown random op`: a random mask of
            zeros and one other value that something is multiplied by.
        line: The line outside torch that calls it, `path:line`; empty if there is none.
        asked: The drop probability it was given in training: the largest, if they differ. None
            if it is not known.
        seen: The rate of zeros in its masks in training; None where they cannot be read.
        values: The number of mask values that `seen` is computed from.
        calls: How often it was called in one forward pass in training; in eval, if never in
            training.
        train: Whether it dropped in training; None if it was not called.
        eval: Whether it dropped in eval, under `no_grad`.
        no_grad: Whether it dropped in training under `no_grad`.
        kept: Bytes of its masks that are saved for backward.
        also: Other paths of the same module.
    """

    name: str
    kind: str
    line: str = ""
    asked: float | None = None
    seen: float | None = None
    values: int = 0
    calls: int = 0
    train: bool | None = None
    eval: bool | None = None
    no_grad: bool | None = None
    kept: int = 0
    also: tuple[str, ...] = ()

    @property
    def acts(self) -> bool:
        """True if it dropped in any pass, or was called with p > 0."""
        return bool(self.asked) or any((self.train, self.eval, self.no_grad))

    def to_dict(self) -> dict[str, Any]:
        """The site as JSON-ready data."""
        return {
            "name": self.name,
            "also": list(self.also),
            "kind": self.kind,
            "line": self.line,
            "p_asked": self.asked,
            "p_seen": self.seen,
            "values": self.values,
            "calls": self.calls,
            "on_in_train": self.train,
            "on_in_eval": self.eval,
            "on_in_train_under_no_grad": self.no_grad,
            "bytes_kept": self.kept,
        }


@dataclass(frozen=True)
class AuditedSites:
    """The sites of a model and the findings.

    Attributes:
        model: The name of the model's class.
        sites: In the order in which they were first called.
        findings: Errors first.
        notes: How the model was run, if that is not as given: compiled, lazy, wrapped.
        seconds: Wall-clock time.
    """

    model: str
    sites: tuple[AuditedSite, ...]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    # How it is printed and how a notebook shows it: renderers register themselves here.
    text: ClassVar[Callable[[AuditedSites], str] | None] = None
    html: ClassVar[Callable[[AuditedSites], str] | None] = None

    def __iter__(self) -> Iterator[AuditedSite]:
        return iter(self.sites)

    def __len__(self) -> int:
        return len(self.sites)

    def __str__(self) -> str:
        return repr(self) if AuditedSites.text is None else AuditedSites.text(self)

    def _repr_html_(self) -> str | None:
        """The audit as a notebook shows it."""
        return None if AuditedSites.html is None else AuditedSites.html(self)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that are errors."""
        return tuple(f for f in self.findings if f.severity == "error")

    @property
    def passed(self) -> bool:
        """True when no finding is an error."""
        return not self.errors

    def to_dict(self) -> dict[str, Any]:
        """The audit as JSON-ready data."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "passed": self.passed,
            "notes": list(self.notes),
            "findings": [f.to_dict() for f in self.findings],
            "sites": [s.to_dict() for s in self.sites],
            "seconds": round(self.seconds, 3),
        }
