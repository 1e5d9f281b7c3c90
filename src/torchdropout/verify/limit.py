"""A time limit on untrusted code that runs in this thread."""

from __future__ import annotations

import contextlib
import inspect
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

# Seconds between the first alarm and the next ones, for code that catches every exception.
AGAIN = 0.05


class Overdue(BaseException):
    """Raised in code that runs too long; not an `Exception`, since a target may catch those."""


class TimeLimit:
    """Whether the time is over; see `time_limit`."""

    def __init__(self) -> None:
        self.is_over = False
        self.is_armed = False
        self._left = 0.0
        self._traced: list[tuple[FrameType, Any]] = []

    def pause(self) -> None:
        """Let the time stand still, while code runs that is not the target's."""
        if self.is_armed:
            self._left, _ = signal.setitimer(signal.ITIMER_REAL, 0)

    def resume(self) -> None:
        """Let the time go on."""
        if self.is_armed and self._left:
            # Not at once: an exception here would leave the caller's work undone.
            signal.setitimer(signal.ITIMER_REAL, max(self._left, AGAIN), AGAIN)
        self._left = 0.0

    def alarm(self, number: int, frame: FrameType | None) -> None:
        """The signal's handler."""
        if not self.is_armed:
            return
        if self.is_over:
            # The last exception was caught, perhaps by a loop that would catch it forever.
            self._trace(frame)
        self.is_over = True
        raise Overdue

    def _trace(self, frame: FrameType | None) -> None:
        """Raise the next exception from the first line that runs after one was caught.

        Such a line is outside the `try` that caught it.
        """

        def tracer(frame: FrameType, event: str, _argument: Any) -> Any:
            if _ends_limit(frame):
                return None  # what is raised there would leave the limit set
            if event == "line" and self.is_armed and isinstance(sys.exc_info()[1], Overdue):
                raise Overdue
            return tracer

        sys.settrace(tracer)
        self.untrace()
        while frame is not None:
            self._traced.append((frame, frame.f_trace))
            frame.f_trace = tracer
            frame = frame.f_back

    def untrace(self) -> None:
        """Restore the trace functions of the frames."""
        for frame, before in self._traced:
            frame.f_trace = before
        self._traced.clear()


def _ends_limit(frame: FrameType) -> bool:
    """Whether a frame is `time_limit`'s own, or that of `contextlib` which leaves its block."""
    own = inspect.unwrap(time_limit).__code__
    if frame.f_code is own:
        return True
    if frame.f_code is not type(time_limit(None)).__exit__.__code__:
        return False
    return getattr(frame.f_locals["self"].gen, "gi_code", None) is own


def can_limit() -> bool:
    """Whether a limit can be set in this thread: signals reach only the main thread."""
    has_timer = hasattr(signal, "setitimer")
    return has_timer and threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def time_limit(seconds: float | None) -> Iterator[TimeLimit]:
    """Raise `Overdue` in the code inside after so many seconds, repeatedly until it ends.

    That ends a loop that catches everything, but not two nested ones, nor a C function that does
    not return. `Overdue` does not leave the block: `is_over` is set. An alarm that the caller has
    set goes off at its time, or at the end, and the caller's trace function is restored.

    Example:
        >>> with time_limit(0.01) as limit:
        ...     while True:
        ...         try:
        ...             time.sleep(60)
        ...         except BaseException:
        ...             pass
        >>> limit.is_over
        True
    """
    limit = TimeLimit()
    if seconds is None:
        yield limit
        return
    handler = signal.getsignal(signal.SIGALRM) or signal.SIG_DFL
    tracer = sys.gettrace()
    left, interval = signal.setitimer(signal.ITIMER_REAL, 0)
    start = time.monotonic()
    signal.signal(signal.SIGALRM, limit.alarm)
    try:
        try:
            limit.is_armed = True
            signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
            yield limit
        finally:
            limit.is_armed = False
    except Overdue:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        sys.settrace(tracer)
        limit.untrace()
        if left:
            rest = left - (time.monotonic() - start)
            signal.setitimer(signal.ITIMER_REAL, max(rest, 1e-3), interval)
