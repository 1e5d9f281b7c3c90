"""The attention of transformers with our dropout, in single modules of a model.

A module of transformers looks its attention up by the name in its configuration, and drops inside
that function. For the name "sdpa" the function is replaced by one that computes the same; only in
modules that have our mark does it call our dropout. So the configuration, which
other models may share and which is saved, stays as it is.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from .. import functional as F

# The name of the interface in the sources of transformers, and of the attention that we know.
_INTERFACE = "ALL_ATTENTION_FUNCTIONS"
SUPPORTED = "sdpa"
_MARK = "_torchdropout_attention"


def methods(kind: type[torch.nn.Module]) -> Iterator[Any]:
    """The functions of a module class that are its own, and not `torch.nn.Module`'s."""
    for base in kind.__mro__:
        if base is torch.nn.Module:
            return
        for value in vars(base).values():
            value = value.fget if isinstance(value, property) else value
            function = inspect.unwrap(value) if callable(value) else value
            if inspect.isfunction(function):
                yield function


def _caller(kind: type[torch.nn.Module]) -> Any:
    """The method that calls the attention interface of transformers, or None."""
    if "transformers" not in sys.modules:
        return None
    for function in methods(kind):
        kind_of = type(function.__globals__.get(_INTERFACE))
        # The base of all models defines the interface, and only compares names with it.
        own = function.__module__ != kind_of.__module__
        if _INTERFACE in function.__code__.co_names and own and hasattr(kind_of, "register"):
            return function
    return None


def implementation(module: torch.nn.Module) -> str | None:
    """The name of the attention that a module looks up; None if it looks up none."""
    if _caller(type(module)) is None:
        return None
    return str(getattr(getattr(module, "config", None), "_attn_implementation", None))


def is_marked(module: torch.nn.Module) -> bool:
    """Whether the attention of a module drops with ours."""
    return getattr(module, _MARK, None) is not None


def mark(module: torch.nn.Module) -> None:
    """Make the attention of a module drop with ours."""
    setattr(module, _MARK, _Mark(_caller(type(module)).__module__))


def unmark(module: torch.nn.Module) -> None:
    """Make it drop with torch's again."""
    vars(module).pop(_MARK, None)


class _Mark:
    """Marks a module as dropping with ours, also after it was copied or loaded."""

    def __init__(self, source: str) -> None:
        self.source = source
        _install(vars(importlib.import_module(source))[_INTERFACE])

    def __reduce__(self) -> tuple[Any, ...]:
        return _Mark, (self.source,)


def _install(interface: Any) -> None:
    """Put our function into an interface, once."""
    theirs = interface[SUPPORTED]
    if hasattr(theirs, _MARK):
        return
    # A file of transformers may have an interface of its own with its own function.
    if type(interface)()[SUPPORTED] is theirs:
        type(interface).register(SUPPORTED, _by_mark(theirs))
    else:
        interface[SUPPORTED] = _by_mark(theirs)


def _by_mark(theirs: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(theirs)
    def attention(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        if not is_marked(module) or kwargs.get("dropout") == 0.0:
            return theirs(module, *args, **kwargs)
        with _Ours():
            return theirs(module, *args, **kwargs)

    setattr(attention, _MARK, True)
    return attention


_REPLACED: dict[Any, Callable[..., Any]] = {
    torch.nn.functional.scaled_dot_product_attention: F.scaled_dot_product_attention,
    torch.nn.functional.dropout: F.dropout,
}


class _Ours(TorchFunctionMode):
    """Replaces torch's functions that drop by ours inside the context."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _REPLACED.get(function, function)(*args, **(kwargs or {}))
