"""Workflow commands, which GitHub Actions shows next to the source.

Reference:
    GitHub, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

from collections.abc import Mapping


def command(name: str, properties: Mapping[str, str], message: str) -> str:
    """A command as one line; properties without a value are left out."""
    given = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value)
    return f"::{name} {given}::{_data(message)}"


def _data(text: str) -> str:
    shown = "".join(c if c.isprintable() or c in "\r\n" else " " for c in text)
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
