"""Renders what fixes change as a unified diff."""

from __future__ import annotations

import difflib

from ..reporting.lines import clean

_NO_END = "\\ No newline at end of file\n"


def render_diff(path: str, old: str, new: str) -> str:
    r"""Renders the change of a file as a unified diff, for `patch -p0`.

    Args:
        path: The file.
        old: Its text.
        new: Its text after the fixes.

    Returns:
        The diff; empty if nothing changes.

    Example:
        >>> print(render_diff("f.py", "x = 1\n", "x = 2\n"), end="")
        --- f.py
        +++ f.py
        @@ -1 +1 @@
        -x = 1
        +x = 2
    """
    name = clean(path)
    lines = difflib.unified_diff(_lines(old), _lines(new), name, name)
    return "".join(line if line.endswith("\n") else f"{line}\n{_NO_END}" for line in lines)


def _lines(text: str) -> list[str]:
    r"""Splits at `\n` only, as `patch` and git do: not at a form feed or a lone `\r`."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
