"""The verifier: a judge of dropouts that shares no code with what it judges."""

from ..findings import CheckResult as CheckResult
from ..findings import Finding as Finding
from ..findings import Report as Report
from ..findings import Rule as Rule
from ..findings import TargetReport as TargetReport
from .context import LEVELS as LEVELS
from .context import Level as Level
from .runner import FALSE_ALARM_RATE as FALSE_ALARM_RATE
from .runner import check_dropout as check_dropout
from .runner import check_subject as check_subject
from .subject import Built as Built
from .subject import Subject as Subject
from .table import CHECKS as CHECKS
from .table import RULES as RULES
