"""`torchdropout` and `python -m torchdropout`: runs the command, or names the extra it needs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from ._tools.extras import missing, packages_of
from .reporting.streams import unwritable

_INTERRUPTED = 130
_CANNOT_RUN = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: Command-line arguments; those of the process when None.

    Returns:
        The exit code: 0 no error found, 1 errors, 2 cannot run, 130 interrupted.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        for name in packages_of(""):  # each command checks the others itself
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in packages_of(""):  # installed but broken: its own error says more
            raise
        if given == ["info"]:
            from ._tools.info import text  # it needs no extra

            try:
                print(text(), flush=True)
            except OSError as failure:
                unwritable("torchdropout", failure)
                return _CANNOT_RUN
            return 0
        command = given[0] if given and not given[0].startswith("-") else ""
        print(missing(command), file=sys.stderr)
        return _CANNOT_RUN
    except KeyboardInterrupt:
        return _INTERRUPTED
    from .cli import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
