"""Which extra a command needs, and the packages of that extra."""

from __future__ import annotations

from collections.abc import Mapping

# What a command imports at its start; the extra may have more.
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "verify": ("click", "rich", "scipy", "numpy"),
    "audit": ("click", "rich"),
    "all": ("click", "rich"),
}
EXTRAS: Mapping[str, str] = {
    "verify": "verify",
    "compare": "verify",
    "checks": "verify",
    "audit": "audit",
    "audit-model": "audit",
    "rules": "audit",
}


def extra_of(command: str) -> str:
    """The extra that a command needs."""
    return EXTRAS.get(command, "all")


def missing(command: str) -> str:
    """Says in one line what to install for a command.

    Example:
        >>> missing("audit")
        'torchdropout audit needs click and rich: pip install "torchdropout[audit]"'
    """
    extra = extra_of(command)
    *names, last = PACKAGES[extra]
    subject = f"torchdropout {command}".rstrip()
    return f'{subject} needs {", ".join(names)} and {last}: pip install "torchdropout[{extra}]"'
