"""Monte-Carlo dropout: every dropout of a model in eval turned on, and nothing else."""

from . import _plot as plot
from ._active import active as active
from ._output import select_output as select_output
from ._plan import Plan as Plan
from ._plan import PlannedSite as PlannedSite
from ._plan import plan as plan
from ._predictor import MCDropout as MCDropout
from ._result import Result as Result
from ._statistics import ClassificationStatistics as ClassificationStatistics
from ._statistics import RegressionStatistics as RegressionStatistics

__all__ = [
    "ClassificationStatistics",
    "MCDropout",
    "Plan",
    "PlannedSite",
    "RegressionStatistics",
    "Result",
    "active",
    "plan",
    "plot",
    "select_output",
]
