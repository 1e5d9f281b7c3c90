"""A limit on the processor time of a piece of work."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TooLongError(BaseException):
    """The time is over; not an `Exception`, so that no `except Exception` catches it."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises `TooLongError` once the work inside has used this many seconds of the processor.

    Processor time, unlike time by the clock, does not depend on what else the machine does. There
    is no limit on Windows, which has no such timer, nor outside the main thread, which no signal
    reaches.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not hasattr(signal, "SIGVTALRM"):
        yield
        return

    def end(_: int, __: FrameType | None) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
