"""`torchdropout` and `python -m torchdropout`: the command, or which extra it needs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from .info import text

_EXTRA = ("click", "rich", "scipy", "numpy")
_MISSING = (
    'torchdropout verify needs click, rich, scipy and numpy: pip install "torchdropout[verify]"'
)
_INTERRUPTED = 130
_CANNOT_RUN = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: Command-line arguments; those of the process when None.

    Returns:
        The exit code: 0 no error found, 1 errors, 2 cannot run, 130 interrupted.
    """
    try:
        for name in _EXTRA:
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:  # installed, and broken: its own words serve better than ours
            raise
        if (sys.argv[1:] if arguments is None else list(arguments)) == ["info"]:
            print(text())  # what says which parts are there needs none of them
            return 0
        print(_MISSING, file=sys.stderr)
        return _CANNOT_RUN
    except KeyboardInterrupt:
        return _INTERRUPTED
    from .cli import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
