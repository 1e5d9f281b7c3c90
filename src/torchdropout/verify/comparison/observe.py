"""Runs a target's code outside of a check: it returns an answer, whatever the target does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..compiling import patient
from ..context import Fault, Skip
from ..limit import time_limit
from ..world import World, fresh_modes

_Seen = TypeVar("_Seen")


@dataclass(frozen=True)
class Observer:
    """How a target's code is run.

    Attributes:
        world: The state that is restored after each observation.
        timeout: Seconds that an observation may take; None for no limit.
    """

    world: World
    timeout: float | None

    def observe(self, run: Callable[[], _Seen]) -> _Seen | str:
        """Return what `run` returns, or in words why it did not return; Ctrl-C passes.

        For an exception only the built-in type is reported: two targets that raise the same may use
        different messages, or a subclass of their own.
        """
        seen: _Seen | str = ""
        with patient(), fresh_modes(self.world), time_limit(self.timeout) as limit:
            try:
                seen = run()
            except Skip:
                seen = "does not apply"
            except Fault as fault:
                seen = _raised(fault.__cause__) if fault.__cause__ else fault.message
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:
                seen = _raised(error)
        if limit.is_over:
            return f"does not end within {self.timeout:g} s"
        return seen


def builtin_type(error: BaseException) -> str:
    """Name the built-in exception type that code without knowledge of the target would catch.

    Example:
        >>> class OwnError(ValueError):
        ...     pass
        >>> builtin_type(OwnError("p"))
        'ValueError'
    """
    known = (kind for kind in type(error).__mro__ if kind.__module__ == "builtins")
    return next(known).__name__


def _raised(error: BaseException) -> str:
    return f"raises {builtin_type(error)}"
