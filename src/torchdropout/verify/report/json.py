"""Reports as JSON."""

from __future__ import annotations

import json
import math
from typing import Any

from ..results import Report


def render_json(report: Report) -> str:
    """Render the report as ASCII JSON, without NaN or Infinity: `{"schema": 1, "targets": [...]}`.

    Example:
        >>> print(render_json(Report(())))
        {
          "schema": 1,
          "targets": []
        }
    """
    return json.dumps(report.to_dict(), indent=2, allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    """Convert a NumPy or torch scalar to Python's, anything else to a string."""
    try:
        scalar = value.item()
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return str(value)
    is_odd = isinstance(scalar, complex) or (
        isinstance(scalar, float) and not math.isfinite(scalar)
    )
    return str(scalar) if is_odd else scalar
