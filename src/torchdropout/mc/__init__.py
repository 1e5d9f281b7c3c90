"""Monte-Carlo dropout: the statistics of many stochastic passes, their results and plots."""

from . import _plot as plot
from ._output import select_output as select_output
from ._result import Result as Result
from ._statistics import ClassificationStatistics as ClassificationStatistics
from ._statistics import RegressionStatistics as RegressionStatistics

__all__ = [
    "ClassificationStatistics",
    "RegressionStatistics",
    "Result",
    "plot",
    "select_output",
]
