"""Reads tables of settings in `pyproject.toml`, and checks them key by key."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ArgumentTypeError, ArgumentValueError
from .reading import read_bytes
from .selection import close_to

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "pyproject.toml"
# The names of all tables under `tool`, with dots.
TABLES = ("torchdropout", "torchdropout.audit")
_NAMES = tuple(name.rpartition(".")[2] for name in TABLES)
# A table whose name is at least this close to one of these is a misspelling of it.
_CLOSE = 0.85
_FEW = 8  # processes that are started on any machine
# The time of the parser is the square of the parts of a key, which have a dot between them.
_MOST_BYTES = 1_000_000
_MOST_DOTS = 1_000

# Converts a value, given the folder of the file. It raises TypeError for a wrong type, LookupError
# with the known names for an unknown name, and ValueError with its own message.
Convert = Callable[[Any, Path], Any]


@dataclass(frozen=True)
class Table:
    """A table of settings.

    Attributes:
        name: Its name under `tool`, with dots: `torchdropout`.
        keys: The keys it may have, each with the expected value in words and the conversion from
            the value in the file to the one that is used.
        others: Keys that belong to other tables; they are skipped.
    """

    name: str
    keys: Mapping[str, tuple[str, Convert]]
    others: frozenset[str] = frozenset()

    def find(self, start: Path) -> Path | None:
        """The nearest `pyproject.toml` with this table, in a folder or one above it."""
        for folder in (start, *start.parents):
            path = folder / FILE
            if path.is_file() and self._in(path) is not None:
                return path
        return None

    def read(self, path: Path) -> dict[str, Any]:
        """The settings of a file.

        Args:
            path: A TOML file with this table.

        Returns:
            The settings that the file has, by key.

        Raises:
            ArgumentTypeError: A value has a wrong type; the message names the file.
            ArgumentValueError: The file cannot be read, lacks the table, or has an unknown key or
                value.
        """
        table = self._in(path)
        if table is None:
            raise ArgumentValueError(
                f"Expected {path} to have a table [tool.{self.name}], got none"
            )
        settings = {}
        for key, value in table.items():
            if key in self.others:
                continue
            if key not in self.keys:
                hint = close_to(key, self.keys, f"the keys are {', '.join(self.keys)}")
                raise ArgumentValueError(
                    f"Expected a key of [tool.{self.name}] in {path}, got {key!r}; {hint}"
                )
            expected, convert = self.keys[key]
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

    def _need_known(self, found: Mapping[str, Any], path: Path) -> None:
        """Raises `ArgumentValueError` for a misspelt table, which would otherwise be ignored."""
        for name, value in found.items():
            if isinstance(value, dict) and name != "tool":
                if _is_ours(name.removeprefix("tool.")):  # without [tool, or in quotes
                    raise _unknown_table(path, name)
                if _is_close(name.lower(), "tool"):
                    for each in filter(_is_ours, value):
                        raise _unknown_table(path, name, each)
        tool = found.get("tool")
        if not isinstance(tool, dict):
            return
        head, *tails = _NAMES
        for name in tool:
            if name != head and _is_ours(name):
                raise _unknown_table(path, "tool", name)
        own = tool.get(head)
        for name, value in own.items() if isinstance(own, dict) else ():
            if isinstance(value, dict) and name not in (*tails, *self.keys):
                raise _unknown_table(path, "tool", head, name)

    def _in(self, path: Path) -> Mapping[str, Any] | None:
        try:
            found: Any = tomllib.loads(_text(path))
        except OSError as error:
            raise ArgumentValueError(f"Expected to read {path}, got {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ArgumentValueError(f"Expected {path} to be UTF-8, got other bytes") from error
        except RecursionError as error:
            raise ArgumentValueError(
                f"Expected {path} to be TOML, got brackets nested too deep"
            ) from error
        except ValueError as error:  # also an integer of too many digits
            raise ArgumentValueError(f"Expected {path} to be TOML, got: {error}") from error
        self._need_known(found, path)
        found = found.get("tool")
        if not isinstance(found, dict):
            return None
        name = "tool"
        for part in self.name.split("."):
            name = f"{name}.{part}"
            found = found.get(part)
            if found is None:
                return None
            if not isinstance(found, dict):
                raise ArgumentTypeError(
                    f"Expected [{name}] in {path} to be a table, got {found!r} "
                    f"({type(found).__name__})"
                )
        return found


def _text(path: Path) -> str:
    text = read_bytes(path, _MOST_BYTES).decode()
    if any(line.count(".") > _MOST_DOTS for line in text.splitlines()):
        raise ValueError(f"more than {_MOST_DOTS:,} dots in a line")
    return text


def _is_ours(name: str) -> bool:
    """Whether a table is one of these, or a misspelling."""
    plain = name.lower().replace("_", "").replace("-", "")
    return plain.startswith(_NAMES[0]) or _is_close(plain, _NAMES[0])


def _is_close(name: str, other: str) -> bool:
    return difflib.SequenceMatcher(None, name, other).ratio() >= _CLOSE


def _unknown_table(path: Path, *parts: str) -> ArgumentValueError:
    name = ".".join(f'"{part}"' if "." in part else part for part in parts)
    tables = " or ".join(f"[tool.{table}]" for table in TABLES)
    return ArgumentValueError(f"Expected {path} to have a table {tables}, got [{name}]")


def _wrong(path: Path, key: str, expected: str, value: object, hint: str = "") -> str:
    got = f"{key}={value!r} ({type(value).__name__})"
    return f"Expected `{key}` in {path} to be {expected}, got {got}{hint and '; ' + hint}"


def exactly(kind: type) -> Convert:
    """Accepts a value of a type, but not of a derived type."""

    def convert(value: Any, _: Path) -> Any:
        if type(value) is not kind:
            raise TypeError
        return value

    return convert


def one_of(names: tuple[str, ...]) -> Convert:
    """Accepts one of some names."""

    def convert(value: Any, _: Path) -> Any:
        if not isinstance(value, str):
            raise TypeError
        if value not in names:
            raise LookupError(*names)
        return value

    return convert


def strings(value: Any, _: Path) -> tuple[str, ...]:
    """Accepts a list of strings."""
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise TypeError
    return tuple(value)


def processes(value: Any, _: Path) -> int:
    """Accepts a number of processes, and lowers it to what a machine can use."""
    if type(value) is not int:
        raise TypeError
    if value < 1:
        raise ValueError(f"expected at least 1, got {value}")
    return min(value, max(_FEW, os.cpu_count() or 1))


def inside(path: str, folder: Path) -> str:
    """Converts a path relative to the folder of the file into one relative to the current folder.

    The user of a command may not trust the file, so that it names nothing outside of its folder.

    Raises:
        ValueError: The path leads out of the folder, by itself or by a link.
    """
    top = os.path.realpath(folder)
    real = os.path.realpath(os.path.join(top, path))  # noqa: PTH118
    if not Path(real).is_relative_to(top):
        raise ValueError(f"expected a path in {top}, got {path!r} (str), which is {real!r}")
    if os.path.isabs(path) or top == os.path.realpath("."):  # noqa: PTH117
        return path
    return os.path.relpath(folder / path)
