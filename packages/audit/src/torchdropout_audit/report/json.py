"""Renders reports as JSON."""

from __future__ import annotations

from ..findings import SourceReport
from ._words import ascii_json


def render_json(report: SourceReport) -> str:
    """Renders a report as ASCII JSON text; `docs/audit.schema.json` defines its content.

    Example:
        >>> print(render_json(SourceReport((), files=2)))
        {
          "schema": 1,
          "findings": [],
          "files": 2,
          "problems": [],
          "fixed": 0,
          "ignored": 0,
          "complete": true,
          "seconds": 0.0
        }
    """
    return ascii_json(report.to_dict())
