"""How a callable is called: its signature, from Python or torch, and calls with it."""

from __future__ import annotations

import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import Parameter, Signature
from types import BuiltinFunctionType
from typing import Any, TypeGuard

import torch

from ..._core import _torch

_OVERLOAD = type(torch.ops.aten.add.Tensor)

VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


@dataclass(frozen=True)
class Reading:
    """The signature of a callable, and how to call it.

    Attributes:
        function: The function to call.
        signature: Its signature, or an assumed one where Python has none.
        bound: Arguments that a `functools.partial` has fixed.
        assumed: True when the signature is assumed.
    """

    function: Callable[..., Any]
    signature: Signature
    bound: Mapping[str, Any]
    assumed: bool = False

    @property
    def free(self) -> dict[str, Parameter]:
        """The named parameters that can still be passed."""
        return {
            name: parameter
            for name, parameter in self.signature.parameters.items()
            if name not in self.bound and parameter.kind not in VARIADIC
        }

    @property
    def takes_any_keyword(self) -> bool:
        """Whether there is a `**kwargs`."""
        return any(p.kind is Parameter.VAR_KEYWORD for p in self.signature.parameters.values())

    def call(self, values: Mapping[str, Any]) -> Any:
        """Calls with these arguments; positional-only ones are passed by position."""
        known = {**self.bound, **{k: v for k, v in values.items() if self._knows(k)}}
        extra = {k: v for k, v in values.items() if k not in known}
        arguments = inspect.BoundArguments(self.signature, OrderedDict(known))
        return self.function(*arguments.args, **arguments.kwargs, **extra)

    def show(self, values: Mapping[str, str]) -> str:
        """The call as it would be written: `dropout(x, p=p, training=training)`."""
        parts = []
        for argument, text in values.items():
            parameter = self.signature.parameters.get(argument)
            by_position = parameter is not None and parameter.kind is Parameter.POSITIONAL_ONLY
            parts.append(text if by_position or text == "x" else f"{argument}={text}")
        parts += [f"{argument}={_brief(value)}" for argument, value in self.bound.items()]
        return f"{call_name(self.function)}({', '.join(parts)})"

    def _knows(self, name: str) -> bool:
        parameter = self.signature.parameters.get(name)
        return parameter is not None and parameter.kind not in VARIADIC


def _brief(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 24 else "..."


def read_call(call: Callable[..., Any], assumed: tuple[str, ...]) -> Reading:
    """Reads a callable; `assumed` are its positional arguments if Python has no signature."""
    function, args, keywords = call, (), {}
    if isinstance(call, functools.partial):
        function, args, keywords = call.func, call.args, call.keywords
    signature = _signature(function)
    if signature is None:
        parameters = [Parameter(name, Parameter.POSITIONAL_ONLY) for name in assumed]
        return Reading(call, Signature(parameters), {}, assumed=True)
    try:
        bound = signature.bind_partial(*args, **keywords).arguments
    except TypeError:  # a partial that can never be called: the call will raise
        return Reading(call, signature, {})
    return Reading(function, signature, bound)


def _signature(function: Callable[..., Any]) -> Signature | None:
    """The signature of a callable, or None where it has no named arguments or cannot be read."""
    schema = torch_schema(function)
    if schema is not None:
        # The first argument of a scripted method is its object.
        return _from_schema(schema.arguments[isinstance(function, torch.ScriptMethod) :])
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    named = [p for p in signature.parameters.values() if p.kind not in VARIADIC]
    return signature if named or not signature.parameters else None


def is_torch_builtin(function: object) -> TypeGuard[BuiltinFunctionType]:
    """Whether it is a builtin of torch, for which Python has no signature."""
    return inspect.isbuiltin(function) and builtin_home(function) is not None


def builtin_home(function: BuiltinFunctionType) -> str | None:
    homes = {"torch": torch, "torch.nn.functional": torch.nn.functional}
    found = (n for n, home in homes.items() if getattr(home, function.__name__, None) is function)
    return next(found, None)


def torch_schema(function: object) -> Any:
    """The schema of a scripted object, an operator, or a builtin such as `torch.dropout`."""
    if isinstance(function, (torch.jit.ScriptFunction, torch.ScriptMethod)):
        return function.schema
    if is_torch_builtin(function):
        function = getattr(torch.ops.aten, function.__name__, None)
    overload = getattr(function, "default", function)
    return _torch.schema(overload) if isinstance(overload, _OVERLOAD) else None


def _from_schema(arguments: Iterable[Any]) -> Signature:
    """The arguments of a torch schema as a Python signature."""
    parameters = [
        Parameter(
            argument.name,
            Parameter.KEYWORD_ONLY if argument.kwarg_only else Parameter.POSITIONAL_OR_KEYWORD,
            default=argument.default_value if argument.has_default_value() else Parameter.empty,
        )
        for argument in arguments
    ]
    return Signature(parameters)


def call_name(function: object) -> str:
    """The name by which code refers to a callable."""
    schema = torch_schema(function)
    qualname = getattr(function, "__qualname__", None) or type(function).__qualname__
    name = schema.name.replace("::", ".") if schema is not None else str(qualname)
    return name.rpartition(".")[2]


def unfilled(reading: Reading, given: Iterable[str]) -> list[str]:
    """Required arguments without a value."""
    return [
        name
        for name, parameter in reading.free.items()
        if parameter.default is Parameter.empty and name not in set(given)
    ]
