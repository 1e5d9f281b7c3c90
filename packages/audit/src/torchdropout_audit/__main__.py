"""`torchdropout-audit` and `python -m torchdropout_audit`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .command import audit
from .reporting.command import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: Command-line arguments; those of the process when None.

    Returns:
        The exit code: 0 no error found, 1 errors, 2 cannot run, 130 interrupted.
    """
    return run_command(audit, arguments, "torchdropout-audit")


if __name__ == "__main__":
    sys.exit(main())
