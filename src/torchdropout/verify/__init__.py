"""The verifier: checks any dropout, and shares no code with the dropouts of this library."""

from typing import TYPE_CHECKING, Any

from ..reporting.findings import Finding as Finding
from ..reporting.findings import Rule as Rule
from .comparison import Comparison as Comparison
from .comparison import compare as compare
from .context import LEVELS as LEVELS
from .context import Level as Level
from .registry import CHECKS as CHECKS
from .registry import RULES as RULES
from .results import CheckResult as CheckResult
from .results import Report as Report
from .results import Selection as Selection
from .results import TargetReport as TargetReport
from .runner import FALSE_ALARM_RATE as FALSE_ALARM_RATE
from .runner import check_dropout as check_dropout
from .runner import check_subject as check_subject
from .specs import SPECS as SPECS
from .specs import Spec as Spec
from .subject import Built as Built
from .subject import Subject as Subject

if TYPE_CHECKING:
    from .pytest_plugin import (
        parametrize_with_dropout_checks as parametrize_with_dropout_checks,
    )


def __getattr__(name: str) -> Any:
    """Import what needs pytest on first access."""
    if name == "parametrize_with_dropout_checks":
        from .pytest_plugin import parametrize_with_dropout_checks

        return parametrize_with_dropout_checks
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _render_html(report: Report) -> str:
    # Imported here: a report that is never shown needs no renderer.
    from .report import render_html_fragment

    return render_html_fragment(report)


Report.html_renderer = _render_html
