"""Runs a target's code in a process of its own, so that an exit or a crash is noticed."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any

from .._tools.apart import SCRIBBLED, Harness, Process
from ..errors import TargetError, TorchDropoutError

_TICK = 0.1  # seconds between two looks at a silent process


def apart(work: Callable[[], Any], target: str, *, fork: bool) -> Any:
    """Runs work in a forked process, and returns its result.

    A target that calls `os._exit(0)`, or crashes, would otherwise end the command, and with an exit
    code that says that nothing was found.

    Args:
        work: Returns JSON data: nothing of the target must reach this process.
        target: The name of the target, for the message.
        fork: Whether this process may be forked, which happens only on Linux. Otherwise it does the
            work itself.

    Raises:
        TargetError: The work raised something, or the process ended without a result.
        KeyboardInterrupt: This process was interrupted.
    """
    if not fork or sys.platform != "linux":
        return work()
    process = Process(functools.partial(_work, work))
    try:
        while (message := _heard(process)) is None:
            wait([process.channel.fileno()], _TICK)
    except (EOFError, OSError):
        raise _no_result(target, process.last_words()) from None
    except ValueError:
        raise _no_result(target, SCRIBBLED) from None
    finally:
        Process.end(process)
    result, error = message
    if error:
        raise TargetError(error)
    return result


def _heard(process: Process) -> list[Any] | None:
    has_ended = process.has_ended()
    message = process.channel.receive()
    if message is None and has_ended:
        raise EOFError
    return message


def _no_result(target: str, got: str) -> TargetError:
    return TargetError(f"Expected TARGET {target!r} to return, got: {got}")


def _work(work: Callable[[], Any], harness: Harness) -> None:
    """Does the work and sends the result, or the message of an error."""
    try:
        harness.send(work(), "")
    except TorchDropoutError as error:
        harness.send(None, str(error))
    except KeyboardInterrupt:  # Ctrl-C reaches only the parent
        harness.send(None, "Expected TARGET to run, got KeyboardInterrupt")
    except BaseException as error:
        traceback.print_exc()
        harness.send(None, f"Expected TARGET to run, got {type(error).__name__}: {error}")
