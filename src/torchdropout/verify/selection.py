"""Which checks run: by code, the beginning of a code, name or group."""

from __future__ import annotations

from collections.abc import Sequence

from ..reporting.selection import Choice
from .table import RULES

CHOICE = Choice(RULES, "check", "torchdropout checks")


def chosen(select: Sequence[str] = (), ignore: Sequence[str] = ()) -> frozenset[str]:
    """The names of the checks to run.

    An entry is a code (`TD521`), the beginning of one (`TD52`), a name (`drop-rate`), a group
    (`rate`), or several of these with commas between; case does not matter.

    Args:
        select: What to run; all of them when empty.
        ignore: What to leave out; it beats `select`.

    Returns:
        The names.

    Raises:
        ArgumentTypeError: One of them is not a sequence of strings.
        ArgumentValueError: An entry names no check, or no check is left.

    Example:
        >>> sorted(chosen(["rate", "TD511"], ignore=["position-rate"]))
        ['drop-rate', 'kept-scale']
    """
    return CHOICE.chosen(select, ignore)
