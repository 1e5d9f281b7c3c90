"""An example: two short programs, one with the fault and one without."""

from __future__ import annotations

import inspect
from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A broken dropout as a person would write it, and its fixed form.

    Each is a complete program: in a file, its last function or class is a target.

    Attributes:
        broken: The program with the fault.
        fixed: The program without it.
        spec: What both claim to be; None where it is inferred.
    """

    broken: str
    fixed: str
    spec: str | None = None


def example(broken: str, fixed: str, spec: str | None = None) -> Example:
    """Make an example from texts that are indented like the surrounding code."""
    return Example(inspect.cleandoc(broken) + "\n", inspect.cleandoc(fixed) + "\n", spec)
