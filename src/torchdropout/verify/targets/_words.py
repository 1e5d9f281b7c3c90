"""What the errors of targets share: a hint, and the form of values and names."""

from __future__ import annotations

from collections.abc import Iterable

HOW_TO_STATE = (
    "state it with --p-name NAME (or --keep-prob NAME for a keep probability), or use an "
    "instance or a function f(x, p, training)"
)
NOTHING_TO_STATE = "could be p; use an instance that holds its p, or a function f(x, p, training)"


def shown_value(value: object) -> str:
    """A value and its type on one short line."""
    text = " ".join(repr(value).split())
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
