"""Which checks run: by code, the beginning of a code, name or group."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from ..errors import ArgumentTypeError, ArgumentValueError
from .table import RULES


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
    selected = _named("select", select) or frozenset(rule.name for rule in RULES.values())
    left = selected - _named("ignore", ignore)
    if not left:
        raise ArgumentValueError(
            f"Expected `select` and `ignore` to leave a check to run, got select={select!r} "
            f"({type(select).__name__}) and ignore={ignore!r} ({type(ignore).__name__})"
        )
    return left


def close_to(wanted: str, names: Iterable[str], otherwise: str = "") -> str:
    """A hint for an unknown name: `close to it: ...`, or what to say where nothing is."""
    known = list(names)
    near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
    near += [name for name in known if wanted and wanted in name and name not in near][:3]
    return f"close to it: {', '.join(near)}" if near else otherwise


def _named(argument: str, entries: Sequence[str]) -> frozenset[str]:
    if isinstance(entries, str):
        entries = (entries,)
    names: set[str] = set()
    for entry in entries:
        if not isinstance(entry, str):
            raise ArgumentTypeError(
                f"Expected `{argument}` to hold strings, got {entry!r} ({type(entry).__name__})"
            )
        for part in filter(None, re.split(r"[\s,]+", entry)):
            names |= _matching(argument, part)
    return frozenset(names)


def _matching(argument: str, part: str) -> frozenset[str]:
    wanted = part.lower()
    is_code = re.fullmatch(r"td\d*", wanted)
    names = frozenset(
        rule.name
        for rule in RULES.values()
        if wanted in (rule.name, rule.group) or (is_code and rule.code.lower().startswith(wanted))
    )
    if not names:
        known = {key: None for r in RULES.values() for key in (r.name, r.group, r.code.lower())}
        hint = close_to(wanted, known, "`torchdropout checks` lists them")
        raise ArgumentValueError(
            f"Expected `{argument}` to give codes, names or groups of checks, "
            f"got {part!r} (str); {hint}"
        )
    return names
