"""Which sites draw, and at which rate: `include`, `exclude` and `p`."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Set
from typing import Any

from ..._core._validate import check_p, wrong_type, wrong_value
from ...errors import ArgumentValueError
from ..scope import SiteId
from ..scope.interface import Draw

Patterns = str | Iterable[str] | None


def patterns_of(name: str, value: Patterns) -> list[str]:
    found = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(found, Iterable):
        wrong_type(name, "a pattern of paths, or several", value)
    patterns = list(found)
    for pattern in patterns:
        if not isinstance(pattern, str):
            wrong_type(name, "a pattern of paths, or several", value)
    return patterns


def check_choice(include: Patterns, exclude: Patterns, p: Any) -> None:
    """Check the arguments as far as possible before the sites are known."""
    patterns_of("include", include)
    patterns_of("exclude", exclude)
    for pattern, rate in (p if isinstance(p, Mapping) else {} if p is None else {"*": p}).items():
        patterns_of("p", [pattern])
        check_p(rate)


def _fits(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def is_chosen(path: str, include: list[str] | None, exclude: list[str]) -> bool:
    """Whether the dropout of a path is to be turned on."""
    return (include is None or _fits(path, include)) and not _fits(path, exclude)


def rates_of(
    sites: Mapping[SiteId, tuple[Draw, Any]],
    include: list[str] | None,
    exclude: list[str],
    p: float | Mapping[str, float] | None,
    known: Set[str],
) -> dict[SiteId, float | None]:
    """The sites that draw, and their rates where they are not their own.

    Patterns must match a path of `known`, or, for a rate, of the sites.
    """
    named = {"include": include or [], "exclude": exclude}
    rates = p if isinstance(p, Mapping) else {} if p is None else {"*": p}
    for name, patterns in (*named.items(), ("p", list(rates))):
        drawing = [*dict.fromkeys(site.path for site in sites)]
        if name != "p":
            drawing += sorted(known - {*drawing})
        for pattern in patterns:
            if not any(_fits(path, [pattern]) for path in drawing):
                paths = ", ".join(drawing) or "none"
                wrong_value(name, f"patterns of paths that draw ({paths})", pattern)
    checked = {pattern: check_p(rate) for pattern, rate in rates.items()}
    found: dict[SiteId, float | None] = {}
    for site in sites:
        if not is_chosen(site.path, include, exclude):
            continue
        own = [rate for pattern, rate in checked.items() if _fits(site.path, [pattern])]
        if own and not sites[site][0].rated:
            raise ArgumentValueError(
                f"Expected `p` for sites that take a rate, got p={own[-1]!r} for {site} "
                f"({sites[site][0].kind}), whose module or code has its own: set it there, and "
                "give `p` by patterns of the other paths."
            )
        found[site] = own[-1] if own else None
    if sites and not found:
        raise ArgumentValueError(
            "Expected `include` and `exclude` to leave a site that draws, "
            f"got include={include!r} and exclude={exclude!r}."
        )
    return found
