"""Keeps `python -m` from importing modules of the current folder, once it is imported itself."""

from __future__ import annotations

import os
import sys

_FLAGS = frozenset("bBdEiOPqRsSuvx")  # that may stand before `m` in one option


def leave_current_folder(package: str) -> None:
    """Removes the current folder from the path if Python put it there to run this package.

    `python -m torchdropout audit .` would otherwise import the tree's own `torch.py` in place of
    torch. A package that is run and imports this one, `python -m its.module`, keeps its path.

    Args:
        package: The package that begins to be imported.
    """
    is_safe = sys.flags.isolated or getattr(sys.flags, "safe_path", False)
    if not is_safe and _is_module(package):
        del sys.path[0]


def runs(package: str) -> bool:
    """Whether the program is the command of this package: by `-m`, or a script of its name.

    Args:
        package: The package that begins to be imported.
    """
    program = os.path.basename("".join(sys.argv[:1]))  # noqa: PTH119 - before other imports
    return program.partition(".")[0] == package or _is_module(package)


def _is_module(package: str) -> bool:
    if sys.argv[:1] != ["-m"]:  # true until the module to run is found
        return False
    given = [*sys.orig_argv, ""]
    for place, option in enumerate(given[:-1]):
        name = given[place + 1]
        flags, is_module, joined = option.partition("m")
        if is_module and flags.startswith("-") and _FLAGS.issuperset(flags[1:]):
            return (joined or name).partition(".")[0] == package
    return False


leave_current_folder(__name__.partition(".")[0])
