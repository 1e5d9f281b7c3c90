"""Limits on the processor time and the memory of a piece of work."""

from __future__ import annotations

import ctypes
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

try:
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]


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
def below(size: int) -> Iterator[None]:
    """Raises `MemoryError` when the work inside takes more than this many bytes.

    What the process has when the work begins is not counted. The limit is the system's, and holds
    for all threads; there is none except on Linux, outside the main thread, or where the process
    has a lower one already.
    """
    is_main = threading.current_thread() is threading.main_thread()
    used = _address_space() if is_main else None
    if used is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    lower = [limit for limit in before if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([used + size, *lower]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def is_reached() -> bool:
    """Whether this process has come near the limit on its memory, if there is one."""
    if resource is None:
        return False
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    peak = re.search(rb"^VmPeak:\s*(\d+) kB", _read("/proc/self/status"), re.MULTILINE)
    return most != resource.RLIM_INFINITY and peak is not None and int(peak[1]) * 1024 > 0.9 * most


def _address_space() -> int | None:
    """Returns the bytes of addresses that this process has; None where that is not known."""
    pages = _read("/proc/self/statm").split()[:1]
    return int(pages[0]) * resource.getpagesize() if pages else None


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


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
