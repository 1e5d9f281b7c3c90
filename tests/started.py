"""Processes that can be interrupted, and of which nothing is left after a test."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess


@contextlib.contextmanager
def heeding_interrupts():
    """Inside, this process and those that it starts heed SIGINT; a background job ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


_started = []


def start(command, **options):
    """A process that heeds SIGINT, in a group of its own; `end_all` ends what is left of it."""
    # A handler of ours is the default one in a program that is started.
    with heeding_interrupts():
        process = subprocess.Popen(command, start_new_session=True, **options)
    _started.append(process)
    return process


def end_all():
    """Ends the groups of all processes of `start`, whatever has become of the test."""
    while _started:
        process = _started.pop()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):  # what was not written
                    stream.close()
