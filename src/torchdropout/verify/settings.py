"""The settings of the verifier in `pyproject.toml`: the keys of `[tool.torchdropout]`.

Paths (the baseline, targets of the form `path/file.py:Attribute`) are relative to the file, and are
returned relative to the current folder. They may not lead out of the folder of the file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..reporting.settings import Table, exactly, inside, one_of, processes, strings
from .context import LEVELS
from .registry import chosen

FORMATS = ("text", "json", "junit", "html", "github")


def _checks(value: Any, folder: Path) -> tuple[str, ...]:
    entries = strings(value, folder)
    chosen(entries)  # raises for an unknown check
    return entries


def _targets(value: Any, folder: Path) -> tuple[str, ...]:
    return tuple(_target(entry, folder) for entry in strings(value, folder))


def _target(entry: str, folder: Path) -> str:
    where, colon, name = entry.rpartition(":")
    is_file = where.endswith(".py") or "/" in where or os.sep in where
    return f"{inside(where, folder)}{colon}{name}" if is_file else entry


def _seconds(value: Any, _: Path) -> float:
    if type(value) not in (int, float):
        raise TypeError
    if not value >= 0:
        raise ValueError(f"expected at least 0, got {value!r}")
    return float(value)


TABLE = Table(
    "torchdropout",
    {
        "targets": ("a list of TARGETs", _targets),
        "level": (f"one of {', '.join(LEVELS)}", one_of(tuple(LEVELS))),
        "seed": ("an integer", exactly(int)),
        "select": ("a list of codes, names or groups of checks", _checks),
        "ignore": ("a list of codes, names or groups of checks", _checks),
        "strict": ("true or false", exactly(bool)),
        "timeout": ("a number of seconds", _seconds),
        "jobs": ("an integer", processes),
        "baseline": ("the path of a report", inside),
        "format": (f"one of {', '.join(FORMATS)}", one_of(FORMATS)),
    },
    others=frozenset({"audit"}),
)
