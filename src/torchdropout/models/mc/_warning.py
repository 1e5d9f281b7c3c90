"""A warning at the line of the caller's code."""

from __future__ import annotations

import sys
import warnings
from types import FrameType


def warn(message: str) -> None:
    """Warn at the line of the caller's code, outside this library and torch."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _package_of(frame) in ("torchdropout", "torch"):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, RuntimeWarning, stacklevel=level)


def _package_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
