"""The one form of the errors about a TARGET, and how values are put into them."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import TargetError

HOW_TO_TELL = (
    "tell it with --p-name NAME (or --keep-prob NAME for a keep probability), or point to an "
    "instance or to a function f(x, p, training)"
)


def target_error(name: str, expected: str, got: str, hint: str = "") -> TargetError:
    """The one form of this module's errors."""
    return TargetError(f"Expected TARGET {name!r} {expected}, got {got}{hint and '; ' + hint}")


def one_line(error: BaseException) -> str:
    """An exception on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def shown_value(value: object) -> str:
    """A value and its type on one short line."""
    text = " ".join(repr(value).split())
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
