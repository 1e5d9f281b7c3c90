"""What the errors of a TARGET share: a hint, and how values and names are written."""

from __future__ import annotations

from collections.abc import Iterable

HOW_TO_TELL = (
    "tell it with --p-name NAME (or --keep-prob NAME for a keep probability), or point to an "
    "instance or to a function f(x, p, training)"
)


def shown_value(value: object) -> str:
    """A value and its type on one short line."""
    text = " ".join(repr(value).split())
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
