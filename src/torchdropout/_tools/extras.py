"""The packages that a command or module needs, and how they are installed."""

from __future__ import annotations

from collections.abc import Mapping

_VERIFY = ("click", "rich", "scipy", "numpy")
# What a command imports first; all others need click and rich.
_PACKAGES: Mapping[str, tuple[str, ...]] = {
    "verify": _VERIFY,
    "compare": _VERIFY,
    "checks": _VERIFY,
    "audit": ("torchdropout-audit",),
    "mc.plot": ("matplotlib",),  # a module, not a command
}


def packages_of(command: str) -> tuple[str, ...]:
    """Returns the packages that a command needs, by the names that they are installed by."""
    return _PACKAGES.get(command, ("click", "rich"))


def needs(command: str) -> str:
    """Returns the packages that a command needs, as a text.

    Example:
        >>> needs("verify"), needs("audit")
        ('click, rich, scipy and numpy', 'torchdropout-audit')
    """
    *names, last = packages_of(command)
    return f"{', '.join(names)} and {last}" if names else last


def missing(command: str) -> str:
    """Returns a line that says what a command needs and how to install it.

    Example:
        >>> missing("audit-model")
        'torchdropout audit-model needs click and rich: pip install click rich'
        >>> missing("mc.plot")
        'torchdropout.mc.plot needs matplotlib: pip install matplotlib'
    """
    subject = f"torchdropout{'.' if command == 'mc.plot' else ' '}{command}".rstrip()
    how = f"pip install {' '.join(packages_of(command))}"
    if command == "audit":  # it is on no index
        how = "pip install packages/audit, in a clone of the repository"
    return f"{subject} needs {needs(command)}: {how}"
