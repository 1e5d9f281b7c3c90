"""Dropout for PyTorch by an exact contract: each keep bit is a function of (key, p, index)."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

# isort: off
from . import _safe_path as _safe_path  # before anything is imported from elsewhere

# isort: on
from ._version import __version__ as __version__

if _TYPE_CHECKING or not _safe_path.runs(__name__):
    from ._front import *  # noqa: F403
else:  # the command, of which much needs no torch; what does, gets the same names

    def __getattr__(name: str) -> _Any:
        if not name.startswith("_"):
            front = vars(_import_module("._front", __name__))
            globals().update((n, value) for n, value in front.items() if not n.startswith("_"))
        if name in globals():
            return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
