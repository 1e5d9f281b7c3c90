"""Runs a target's code in a process of its own, so that an exit or a crash is noticed."""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import TypeVar

from ..errors import ArgumentTypeError, ArgumentValueError, TargetError

Result = TypeVar("Result")
_TICK = 0.2  # seconds


def apart(work: Callable[[], Result], target: str, *, fork: bool) -> Result:
    """Runs work in a forked process, and returns its result.

    A target that calls `os._exit(0)`, or crashes, would otherwise end the command, and with an exit
    code that says that nothing was found.

    Args:
        work: Returns a result that can be pickled.
        target: The name of the target, for the message.
        fork: Whether this process may be forked, which happens only on Linux. Otherwise it does the
            work itself.

    Raises:
        TargetError: The work raised it, raised anything that is not an error of the caller, or the
            process ended without a result.
        KeyboardInterrupt: It was interrupted.
    """
    if not fork or sys.platform != "linux":
        return work()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    mine, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns if there are threads
        pid = os.fork()
    if not pid:
        os.close(mine)
        _work(work, theirs, os._exit)
    os.close(theirs)
    try:
        data, status = _heard(mine, pid)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(mine)
    if not data:
        raise TargetError(
            f"Expected TARGET {target!r} to return, got: the process {_ended(status)}"
        )
    result = pickle.loads(data)
    if isinstance(result, BaseException):
        raise result
    return result  # type: ignore[no-any-return]


def _work(work: Callable[[], object], out: int, leave: Callable[[int], object]) -> None:
    """Does the work and sends the result; never returns."""
    try:
        result: object = work()
    except (TargetError, ArgumentTypeError, ArgumentValueError, KeyboardInterrupt) as error:
        result = type(error)(*error.args)
    except BaseException as error:
        traceback.print_exc()
        result = TargetError(f"Expected TARGET to run, got {type(error).__name__}: {error}")
    try:
        data = pickle.dumps(result)
        with os.fdopen(out, "wb") as pipe:
            pipe.write(len(data).to_bytes(8, "little") + data)
        sys.stderr.flush()
    finally:
        leave(0)


def _heard(pipe: int, pid: int) -> tuple[bytes, int]:
    """Returns what a process sends, nothing if not all of it, and how it ended."""
    data, status, has_ended = b"", 0, False
    while len(data) < 8 or len(data) < 8 + int.from_bytes(data[:8], "little"):
        if select.select([pipe], [], [], 0 if has_ended else _TICK)[0]:
            part = os.read(pipe, 1 << 20)
            data += part
            if part:
                continue
        elif not has_ended:  # a process that the target has started may hold the pipe open
            has_ended, status = _over(pid)
            continue
        data = b""
        break
    while not has_ended:
        _, status = os.waitpid(pid, 0)
        has_ended = True
    return data[8:], status


def _over(pid: int) -> tuple[bool, int]:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return ended == pid, status


def _ended(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"
