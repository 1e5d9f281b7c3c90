"""Which rules of the audit are meant: by code, the beginning of a code, name or group."""

from __future__ import annotations

from collections.abc import Sequence

from .reporting.selection import Choice
from .table import RULES

CHOICE = Choice(RULES, "rule", "torchdropout rules")


def chosen(select: Sequence[str] = (), ignore: Sequence[str] = ()) -> frozenset[str]:
    """The names of the rules to apply.

    An entry is a code (`TD101`), the beginning of one (`TD1`), a name (`p-out-of-range`), a group
    (`attention`), or several of these with commas between; case does not matter.

    Args:
        select: What to apply; all of them when empty.
        ignore: What to leave out; it beats `select`.

    Returns:
        The names.

    Raises:
        ArgumentTypeError: One of them is not a sequence of strings.
        ArgumentValueError: An entry names no rule, or no rule is left.

    Example:
        >>> sorted(chosen(["TD001", "unused-ignore"], ignore=["TD003"]))
        ['syntax-error']
    """
    return CHOICE.chosen(select, ignore)
