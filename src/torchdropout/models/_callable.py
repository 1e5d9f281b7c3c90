"""Modules that can be called like their main function or class: `td.convert(model)`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, Generic, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


class CallableModule(ModuleType, Generic[P, R]):
    """The class of such a module, which is otherwise an ordinary module."""

    _main: Callable[P, R]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._main(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickler that stores modules by name knows plain ones only.
        return import_module, (self.__name__,)


def module_of(main: Callable[P, R]) -> CallableModule[P, R]:
    """Make the module that defines `main` callable as `main`."""
    module = sys.modules[main.__module__]
    module.__class__ = CallableModule
    vars(module).update(_main=main, __signature__=inspect.signature(main))
    return cast("CallableModule[P, R]", module)
