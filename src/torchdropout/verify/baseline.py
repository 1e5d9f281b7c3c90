"""Findings that are known: an earlier report says which, and a run need not fail for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ArgumentValueError
from ..reporting.findings import SCHEMA
from .results import Report


@dataclass(frozen=True)
class Baseline:
    """What an earlier report found.

    Attributes:
        codes: The codes of its findings, under the name of the target.
    """

    codes: Mapping[str, frozenset[str]]

    def mark(self, report: Report) -> Report:
        """The report with the findings that are known marked as such.

        Example:
            >>> from torchdropout.verify import check_dropout
            >>> report = check_dropout(lambda x, p, training: x, select=["train-stochastic"])
            >>> report.passed
            False
            >>> earlier = Baseline({report.targets[0].target: frozenset(["TD503"])})
            >>> earlier.mark(report).passed
            True
        """
        return Report(
            tuple(
                replace(target, known=self.codes.get(target.target, frozenset()))
                for target in report.targets
            )
        )

    def gone(self, report: Report) -> tuple[tuple[str, str], ...]:
        """Target and code of what was found then and is now seen to be right."""
        return tuple(
            (target.target, check.rule.code)
            for target in report.targets
            for check in target.checks
            if check.status == "ok" and check.rule.code in self.codes.get(target.target, ())
        )


def read_baseline(path: str | Path) -> Baseline:
    """Reads a report that was written as JSON.

    Args:
        path: What `torchdropout verify --format json --output FILE` has written.

    Returns:
        Its findings.

    Raises:
        ArgumentValueError: The file cannot be read, or is no such report.
    """
    expected = f"Expected `baseline` to be a report written by --format json, {path}"
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        schema, targets = data["schema"], data["targets"]
        codes = {t["target"]: frozenset(f["code"] for f in t["findings"]) for t in targets}
    except OSError as error:
        raise ArgumentValueError(f"{expected}, got {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ArgumentValueError(f"{expected}, got no UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise ArgumentValueError(f"{expected}, got no JSON: {error}") from error
    except (KeyError, TypeError) as error:
        raise ArgumentValueError(f"{expected}, got other JSON ({error})") from error
    if schema != SCHEMA:
        raise ArgumentValueError(f"{expected}, got schema {schema!r} where {SCHEMA} is read")
    return Baseline(codes)
