"""The standard streams where they cannot be written, such as on a full disk."""

from __future__ import annotations

import contextlib
import os
import sys


def occupy() -> None:
    """Opens closed standard streams on the null device.

    Otherwise a file that is opened later, such as one to write, gets the number of a stream.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                opened = os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
                os.set_inheritable(opened, True)


def silence() -> None:
    """Discards what stdout and stderr still buffer, if they cannot be written.

    Without this, Python reports it at exit, with an exit code of its own.
    """
    for descriptor, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def unwritable(program: str, error: OSError) -> None:
    """Says in one line on stderr that the output could not be written, and ends all output.

    Args:
        program: The name of the program.
        error: What writing raised.
    """
    with contextlib.suppress(OSError, ValueError):
        why = error.strerror or str(error)
        print(f"{program}: Expected to write the output, got: {why}", file=sys.stderr)
    silence()
