"""What a command or module needs to be installed: an extra, or a distribution."""

from __future__ import annotations

from collections.abc import Mapping

# What a command imports first; the extra may contain more.
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "verify": ("click", "rich", "scipy", "numpy"),
    "audit": ("click", "rich"),
    "all": ("click", "rich"),
    "plot": ("matplotlib",),
}
EXTRAS: Mapping[str, str] = {
    "verify": "verify",
    "compare": "verify",
    "checks": "verify",
    "audit-model": "audit",
    "mc": "audit",
    "rules": "audit",
    "mc.plot": "plot",  # a module, not a command
}


def extra_of(command: str) -> str:
    """Returns the extra that a command needs."""
    return EXTRAS.get(command, "all")


def needed(command: str) -> str:
    """Returns what has to be installed for a command.

    Example:
        >>> needed("verify"), needed("audit")
        ('torchdropout[verify]', 'torchdropout-audit')
    """
    return "torchdropout-audit" if command == "audit" else f"torchdropout[{extra_of(command)}]"


def missing(command: str) -> str:
    """Returns a line that says what a command needs and how to install it.

    Example:
        >>> missing("audit-model")
        'torchdropout audit-model needs click and rich: pip install "torchdropout[audit]"'
        >>> missing("mc.plot")
        'torchdropout.mc.plot needs matplotlib: pip install "torchdropout[plot]"'
    """
    subject = f"torchdropout{'.' if command == 'mc.plot' else ' '}{command}".rstrip()
    if command == "audit":  # torchdropout-audit is on no index
        how = "pip install packages/audit, in a clone of the repository"
        return f"{subject} needs {needed(command)}: {how}"
    *names, last = PACKAGES[extra_of(command)]
    packages = f"{', '.join(names)} and {last}" if names else last
    return f'{subject} needs {packages}: pip install "{needed(command)}"'
