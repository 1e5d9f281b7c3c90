"""Compares two dropouts by the checks and in exact cases, next to each other.

The package is named for its result, so that `torchdropout.verify.compare` stays the function.
"""

from .results import Comparison as Comparison
from .results import Row as Row
from .run import compare as compare
