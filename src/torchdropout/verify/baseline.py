"""Known findings: those of an earlier report, for which a run does not fail."""

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
    """The findings of an earlier report.

    Attributes:
        codes: The codes of its findings, by the name of the target.
    """

    codes: Mapping[str, frozenset[str]]

    def mark(self, report: Report) -> Report:
        """Mark the known findings of a report.

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
        """Target and code of each finding of the earlier report whose check passes now."""
        return tuple(
            (target.target, check.rule.code)
            for target in report.targets
            for check in target.checks
            if check.status == "ok" and check.rule.code in self.codes.get(target.target, ())
        )


def read_baseline(path: str | Path) -> Baseline:
    """Read a report that was written as JSON.

    Args:
        path: The output of `torchdropout verify --format json --output FILE`.

    Returns:
        Its findings.

    Raises:
        ArgumentValueError: The file cannot be read, or is not such a report.
    """
    expected = f"Expected `baseline` to be a report written by --format json, {path}"
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        schema, targets = data["schema"], data["targets"]
        codes = {t["target"]: frozenset(f["code"] for f in t["findings"]) for t in targets}
    except OSError as error:
        raise ArgumentValueError(f"{expected}, got {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ArgumentValueError(f"{expected}, got bytes that are not UTF-8") from error
    except RecursionError as error:
        raise ArgumentValueError(f"{expected}, got brackets nested too deep") from error
    except ValueError as error:  # also an integer of too many digits
        raise ArgumentValueError(f"{expected}, got invalid JSON: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ArgumentValueError(f"{expected}, got other JSON ({error})") from error
    if schema != SCHEMA:
        raise ArgumentValueError(f"{expected}, got schema {schema!r}, expected {SCHEMA}")
    return Baseline(codes)
