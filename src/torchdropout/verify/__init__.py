"""The verifier: a judge of dropouts that shares no code with what it judges."""

from typing import TYPE_CHECKING, Any

from ..reporting.findings import Finding as Finding
from ..reporting.findings import Rule as Rule
from .compare import compare as compare
from .comparison import Comparison as Comparison
from .context import LEVELS as LEVELS
from .context import Level as Level
from .results import CheckResult as CheckResult
from .results import Report as Report
from .results import TargetReport as TargetReport
from .runner import FALSE_ALARM_RATE as FALSE_ALARM_RATE
from .runner import check_dropout as check_dropout
from .runner import check_subject as check_subject
from .specs import SPECS as SPECS
from .specs import Spec as Spec
from .subject import Built as Built
from .subject import Subject as Subject
from .table import CHECKS as CHECKS
from .table import RULES as RULES

if TYPE_CHECKING:
    from .pytest_plugin import (
        parametrize_with_dropout_checks as parametrize_with_dropout_checks,
    )


def __getattr__(name: str) -> Any:
    """What needs pytest is imported when it is asked for."""
    if name == "parametrize_with_dropout_checks":
        from .pytest_plugin import parametrize_with_dropout_checks

        return parametrize_with_dropout_checks
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _html(report: Report) -> str:
    # Only now: a report that is never shown needs no matplotlib.
    from .report import render_html_fragment

    return render_html_fragment(report)


Report.html = _html
