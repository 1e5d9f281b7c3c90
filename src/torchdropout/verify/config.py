"""Settings in `pyproject.toml`: what `[tool.torchdropout]` says, checked key by key."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ArgumentTypeError, ArgumentValueError
from .context import LEVELS
from .selection import chosen, close_to

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "pyproject.toml"
FORMATS = ("text", "json", "junit", "html", "github")

_Convert = Callable[[Any, Path], Any]


def find_config(start: Path) -> Path | None:
    """The nearest `pyproject.toml` with a `[tool.torchdropout]`, in a folder or one above it."""
    for folder in (start, *start.parents):
        path = folder / FILE
        if path.is_file() and _table(path) is not None:
            return path
    return None


def read_config(path: Path) -> dict[str, Any]:
    """The settings of a file.

    Paths (the baseline, targets of the form `path/file.py:Attribute`) are relative to the file, and
    are returned relative to the current folder.

    Args:
        path: A TOML file with a table `[tool.torchdropout]`.

    Returns:
        The values under their keys, those that are set.

    Raises:
        ArgumentTypeError: A value has a type that its key does not take; the message names the
            file.
        ArgumentValueError: The file cannot be read, lacks the table, or has a key or a value that
            is not known.
    """
    table = _table(path)
    if table is None:
        raise ArgumentValueError(f"Expected {path} to have a table [tool.torchdropout], got none")
    settings = {}
    for key, value in table.items():
        if key not in _KEYS:
            hint = close_to(key, _KEYS, f"there are {', '.join(_KEYS)}")
            raise ArgumentValueError(
                f"Expected a key of [tool.torchdropout] in {path}, got {key!r}; {hint}"
            )
        expected, convert = _KEYS[key]
        try:
            settings[key] = convert(value, path.parent)
        except TypeError as error:
            raise ArgumentTypeError(_wrong(path, key, expected, value)) from error
        except LookupError as error:
            hint = close_to(str(value), error.args)
            raise ArgumentValueError(_wrong(path, key, expected, value, hint)) from error
        except ValueError as error:
            raise ArgumentValueError(f"{path}, {key}: {error}") from error
    return settings


def _wrong(path: Path, key: str, expected: str, value: object, hint: str = "") -> str:
    got = f"{key}={value!r} ({type(value).__name__})"
    return f"Expected `{key}` in {path} to be {expected}, got {got}{hint and '; ' + hint}"


def _table(path: Path) -> Mapping[str, Any] | None:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentValueError(f"Expected to read {path}, got {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ArgumentValueError(f"Expected {path} to be UTF-8, got other bytes") from error
    except tomllib.TOMLDecodeError as error:
        raise ArgumentValueError(f"Expected {path} to be TOML, got: {error}") from error
    tool = data.get("tool")
    table = tool.get("torchdropout") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise ArgumentTypeError(
            f"Expected [tool.torchdropout] in {path} to be a table, got {table!r} "
            f"({type(table).__name__})"
        )
    return table


# --- Keys ---------------------------------------------------------------------------------------
# A converter raises TypeError for a wrong type, LookupError with the names there are for an unknown
# one, and ValueError with its own words.


def _typed(kind: type) -> _Convert:
    def convert(value: Any, _: Path) -> Any:
        if type(value) is not kind:
            raise TypeError
        return value

    return convert


def _one_of(names: tuple[str, ...]) -> _Convert:
    def convert(value: Any, _: Path) -> Any:
        if not isinstance(value, str):
            raise TypeError
        if value not in names:
            raise LookupError(*names)
        return value

    return convert


def _strings(value: Any, _: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise TypeError
    return tuple(value)


def _checks(value: Any, folder: Path) -> tuple[str, ...]:
    entries = _strings(value, folder)
    chosen(entries)  # names a check that is not there
    return entries


def _targets(value: Any, folder: Path) -> tuple[str, ...]:
    entries = _strings(value, folder)
    return tuple(_moved(entry, folder) if _is_file(entry) else entry for entry in entries)


def _is_file(target: str) -> bool:
    where = target.rpartition(":")[0]
    return where.endswith(".py") or "/" in where or os.sep in where


def _path(value: Any, folder: Path) -> str:
    if not isinstance(value, str):
        raise TypeError
    return _moved(value, folder)


def _moved(path: str, folder: Path) -> str:
    """A path from a folder, as one from the current folder."""
    if Path(path).is_absolute() or folder.resolve() == Path.cwd():
        return path
    return os.path.relpath(folder / path)


def _number(least: float) -> _Convert:
    def convert(value: Any, _: Path) -> float:
        if type(value) not in (int, float):
            raise TypeError
        if not value >= least:
            raise ValueError(f"expected at least {least:g}, got {value!r}")
        return float(value)

    return convert


def _count(value: Any, _: Path) -> int:
    if type(value) is not int:
        raise TypeError
    if value < 1:
        raise ValueError(f"expected at least 1, got {value}")
    return value


_KEYS: Mapping[str, tuple[str, _Convert]] = {
    "targets": ("a list of TARGETs", _targets),
    "level": (f"one of {', '.join(LEVELS)}", _one_of(tuple(LEVELS))),
    "seed": ("an integer", _typed(int)),
    "select": ("a list of codes, names or groups of checks", _checks),
    "ignore": ("a list of codes, names or groups of checks", _checks),
    "strict": ("true or false", _typed(bool)),
    "timeout": ("a number of seconds", _number(0)),
    "jobs": ("an integer", _count),
    "baseline": ("the path of a report", _path),
    "format": (f"one of {', '.join(FORMATS)}", _one_of(FORMATS)),
}
