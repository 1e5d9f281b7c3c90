"""A limit on the processor time of a piece of work."""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TooLongError(BaseException):
    """The time is over; not an `Exception`, so that no `except Exception` catches it."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises `TooLongError` once the work inside has used this many seconds of the processor.

    Processor time, unlike time by the clock, does not depend on what else the machine does. There
    is no limit on Windows, which has no such timer, nor outside the main thread on macOS, which
    cannot measure the time of one thread.
    """
    if threading.current_thread() is not threading.main_thread():
        with _in_thread(seconds):
            yield
        return
    if not hasattr(signal, "SIGVTALRM"):
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


@contextmanager
def _in_thread(seconds: float) -> Iterator[None]:
    """`within` by a second thread that watches this one, since a signal reaches the main one."""
    if not hasattr(time, "pthread_getcpuclockid"):
        yield
        return
    this = threading.get_ident()
    clock = time.pthread_getcpuclockid(this)
    end = time.clock_gettime(clock) + seconds
    done, lock = threading.Event(), threading.Lock()

    def watch() -> None:
        while (left := end - time.clock_gettime(clock)) > 0:
            if done.wait(left):
                return
        with lock:
            if not done.is_set():
                _raise_in(this, ctypes.py_object(TooLongError))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        with lock:
            done.set()
            _raise_in(this, ctypes.py_object())  # not any more
        watcher.join()


def _raise_in(thread: int, error: ctypes.py_object[type[BaseException]]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error)
