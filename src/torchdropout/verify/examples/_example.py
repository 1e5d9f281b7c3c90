"""An example: a short program with a fault, and the patch that fixes it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A broken dropout as a person would write it, and what fixes it.

    Both forms are complete programs: in a file, the last function or class is a target.

    Attributes:
        patch: Both forms at once, as in a diff: after `- ` the lines of the broken form alone,
            after `+ ` those of the fixed form alone, and after two spaces those of both.
        spec: What both forms claim to be; None where it is inferred.
    """

    patch: str
    spec: str | None = None

    @property
    def broken(self) -> str:
        """The program with the fault."""
        return self._without("+")

    @property
    def fixed(self) -> str:
        """The program without it."""
        return self._without("-")

    def _without(self, sign: str) -> str:
        lines = self.patch.splitlines()
        return "".join(f"{line[2:]}\n" for line in lines if not line.startswith(sign))


def example(patch: str, spec: str | None = None) -> Example:
    """Make an example from a patch that is indented like the surrounding code."""
    return Example(inspect.cleandoc(patch), spec)
