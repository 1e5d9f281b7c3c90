"""Load the compiled backend, or say why it cannot be loaded, and select which of its kernels runs.

The extension is built against torch's stable ABI and has kernels for several instruction sets. It
registers itself for the operators on CPU tensors, and gives `direct` a shorter path to the kernels;
`select` governs both.
"""

from __future__ import annotations

import os
import warnings
from importlib import import_module, resources
from typing import Any

from ..._version import __version__
from ...errors import BackendError
from . import triton

REFERENCE = "reference"
AUTO = "auto"
VARIABLE = "TORCHDROPOUT_BACKEND"
NAMES = (REFERENCE, "scalar", "neon", "avx2", "avx512")  # on each processor, the slowest first

extension: Any = None  # the module, if it could be loaded
_current = REFERENCE
why_missing = ""  # why there is no extension; empty if there is one
chosen_by = AUTO  # "auto", the environment variable, or the call that chose the backend
triton_by = ""  # what chose Triton by name for tensors on a GPU; empty if nothing did


def _load() -> str:
    """Load the extension; return why it cannot be loaded, or an empty string."""
    global extension
    try:
        loaded = import_module("torchdropout._C")
    except ModuleNotFoundError:
        note = resources.files("torchdropout").joinpath("_no_extension.txt")
        reason, _, said = (note.read_text() if note.is_file() else "").strip().partition("\n")
        if said:
            reason += f" (full output: {note})"
        return reason or "it was not built"
    except Exception as error:
        return f"its file cannot be loaded: {type(error).__name__}: {error}"
    built_for = getattr(loaded, "version", None)
    if built_for != __version__:
        loaded.select(None)  # it has registered itself: its operators must run the reference
        return f"its file was built for version {built_for}, and this is version {__version__}"
    extension = loaded
    return ""


def available() -> tuple[str, ...]:
    """Names of the backends that can run on this machine, the slowest first."""
    interpreted = () if triton.why_not_on_cpu() else (triton.NAME,)
    return (*interpreted, REFERENCE, *(() if extension is None else extension.usable()))


def current() -> str:
    """Name of the backend that currently runs CPU tensors."""
    return _current


def choice() -> tuple[str, str]:
    """The arguments of `select` that repeat the present choice."""
    return (triton.NAME, triton_by) if triton_by else (_current, chosen_by)


def select(name: str, source: str) -> None:
    """Select the backend that runs CPU tensors, in the whole process.

    Args:
        name: One of `available()`, or "auto" for the fastest. Where Triton has a GPU, its name
            leaves CPU tensors to the fastest, and keeps those of the GPU from the reference.
        source: What makes the choice, for messages.

    Raises:
        BackendError: The backend cannot run on this machine; nothing changes.
    """
    global _current, chosen_by, triton_by
    required_by = ""
    if name == triton.NAME and triton.is_native() and not triton.why_missing():
        name, required_by = AUTO, source
    if name == AUTO:  # what "auto" resolves to is not a choice by name
        name, source = available()[-1], AUTO
    elif name not in available():
        raise BackendError(f"Expected {source} to name one of {_known()}, got {_lacking(name)}")
    triton_by = required_by
    if extension is not None:
        extension.select(None if name in (REFERENCE, triton.NAME) else name)
    _current = name
    chosen_by = source


def _known() -> str:
    return ", ".join(map(repr, (AUTO, *available())))


def _lacking(name: str) -> str:
    if name == triton.NAME:
        lack = triton.why_missing() if triton.is_native() else triton.why_not_on_cpu()
        return f"{name!r}, which cannot run on this machine: {lack}."
    if name not in NAMES:
        return f"{name!r}."
    lack = why_missing and f"there are no compiled kernels: {why_missing}"
    return f"{name!r}, which cannot run on this machine: {lack or extension.why_not(name)}."


def start() -> None:
    """Choose the first backend: the one the environment names, which must load, or the fastest."""
    global why_missing
    requested = os.environ.get(VARIABLE, AUTO)
    why_missing = _load()
    select(requested, VARIABLE)
    if requested == AUTO and why_missing and "NO_EXTENSION" not in why_missing:
        warnings.warn(
            f"torchdropout has no compiled kernels: {why_missing}. Masks come from torch "
            "operations instead: the same bits, in about the time of torch's dropout (large "
            "tensors) to thirty times that (small ones, below a millisecond). "
            f"Set {VARIABLE}={REFERENCE} to silence this warning.",
            RuntimeWarning,
            stacklevel=2,
        )
