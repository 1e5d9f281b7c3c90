"""If a forward of the passes or of a plan runs out of memory, half as much is tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..scope.interface import is_out_of_memory
from ._warning import warn

T = TypeVar("T")


def halving(run: Callable[[int], T], count: int, what: str, least: int = 1) -> tuple[int, T]:
    """How many fit into a forward, and its result: halved after each out-of-memory error.

    Args:
        run: The forward, for a given number.
        count: The number to try first.
        what: The word for them, for the warning.
        least: The number that is not halved any more.
    """
    while True:
        try:
            return count, run(count)
        except (MemoryError, RuntimeError) as error:
            if count <= least or not is_out_of_memory(error):
                raise
        # Outside the handler, whose error keeps the tensors of the forward.
        fewer = max(least, count // 2)
        warn(f"Out of memory with {count} {what} in a forward: continuing with {fewer}.")
        count = fewer
