"""`torchdropout-audit` and `python -m torchdropout_audit`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from .command import audit
from .reporting.command import CANNOT_RUN, INTERRUPTED, OK


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: Command-line arguments; those of the process when None.

    Returns:
        The exit code: 0 no error found, 1 errors, 2 cannot run, 130 interrupted.
    """
    try:
        code = audit.main(arguments, prog_name="torchdropout-audit", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return CANNOT_RUN
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return code if isinstance(code, int) else OK


if __name__ == "__main__":
    sys.exit(main())
