"""What an example is: two short programs, one with the fault and one without."""

from __future__ import annotations

import inspect
from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A broken dropout as a person would write it, and the same one fixed.

    Each is a whole program: written to a file, its last function or class is a target.

    Attributes:
        broken: With the fault.
        fixed: Without it.
        spec: What both claim to be; None where it is inferred.
    """

    broken: str
    fixed: str
    spec: str | None = None


def example(broken: str, fixed: str, spec: str | None = None) -> Example:
    """An example from texts that are indented as the code around them."""
    return Example(inspect.cleandoc(broken) + "\n", inspect.cleandoc(fixed) + "\n", spec)
