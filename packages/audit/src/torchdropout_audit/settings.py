"""The settings in `[tool.torchdropout.audit]` of a `pyproject.toml`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import ArgumentValueError
from .patterns import is_pattern
from .registry import CHOICE, chosen
from .reporting.settings import Table, exactly, inside, one_of, processes, strings

FORMATS = ("text", "json", "sarif", "github")


def need_patterns(argument: str, patterns: Sequence[str]) -> None:
    """Raises `ArgumentValueError` if one of the patterns is not a pattern."""
    for pattern in patterns:
        if not is_pattern(pattern):
            raise ArgumentValueError(
                f"Expected `{argument}` to be a pattern as in a .gitignore, "
                f"got {pattern!r} ({type(pattern).__name__})"
            )


def _paths(value: Any, folder: Path) -> tuple[str, ...]:
    return tuple(inside(entry, folder) for entry in strings(value, folder))


def _rules(value: Any, folder: Path) -> tuple[str, ...]:
    entries = strings(value, folder)
    chosen(entries)  # raises for an unknown rule
    return entries


def _patterns(value: Any, folder: Path) -> tuple[str, ...]:
    entries = strings(value, folder)
    need_patterns("pattern", entries)
    return entries


def _per_file(value: Any, folder: Path) -> Mapping[str, frozenset[str]]:
    if not isinstance(value, dict):
        raise TypeError
    _patterns(list(value), folder)
    return {
        pattern: CHOICE.named(f'"{pattern}"', strings(entries, folder))
        for pattern, entries in value.items()
    }


_PATTERNS = "a list of patterns, as in a .gitignore"

TABLE = Table(
    "torchdropout.audit",
    {
        "paths": ("a list of files and folders", _paths),
        "select": ("a list of codes, names or groups of rules", _rules),
        "ignore": ("a list of codes, names or groups of rules", _rules),
        "exclude": (_PATTERNS, _patterns),
        "extend-exclude": (_PATTERNS, _patterns),
        "per-file-ignores": ("a table of patterns, and lists of rules for each", _per_file),
        "strict": ("true or false", exactly(bool)),
        "jobs": ("an integer", processes),
        "format": (f"one of {', '.join(FORMATS)}", one_of(FORMATS)),
    },
)
