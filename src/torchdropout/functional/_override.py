"""Tensor subclasses and tracers that override torch functions may override ours."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, cast

import torch
from torch.compiler import is_dynamo_compiling
from torch.overrides import handle_torch_function, has_torch_function, has_torch_function_unary

from .._core import _torch

P = ParamSpec("P")


def overridable(function: Callable[P, torch.Tensor]) -> Callable[P, torch.Tensor]:
    """Offer the call to `__torch_function__` of the input first, as torch's functions do.

    So a `torch.fx` tracer records one call of ours instead of looking inside it.
    """

    @functools.wraps(function)
    def wrapper(input: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        if overridden(input):
            other: torch.Tensor = handle(wrapper, (input,), input, *args, **kwargs)
            return other
        return function(input, *args, **kwargs)

    return cast("Callable[P, torch.Tensor]", wrapper)


# Observers of the calls of a scope's model, the innermost last. In eager mode torch calls the
# active mode, but the compiler reports that no mode is active.
observers: list[Callable[[Any, Any, Any], Any]] = []


def overridden(x: Any, *further: Any) -> bool:
    """Whether a tensor, a tracer or a mode overrides torch's functions in a call with these."""
    if is_dynamo_compiling() and observers:
        return True
    return has_torch_function((x, *further)) if further else has_torch_function_unary(x)


def observed() -> bool:
    """Whether a mode overrides functions, for a call that has no tensor."""
    return bool(observers) if is_dynamo_compiling() else _torch.function_mode_enabled()


def handle(function: Callable[..., Any], tensors: Any, *args: Any, **kwargs: Any) -> Any:
    """The result of a call that is overridden."""
    if is_dynamo_compiling() and observers:
        observe = observers.pop()  # a mode is not active while it handles a function
        try:
            return observe(function, args, kwargs)
        finally:
            observers.append(observe)
    return handle_torch_function(function, tensors, *args, **kwargs)


def given(**arguments: Any) -> dict[str, Any]:
    """The arguments that are not None."""
    return {name: value for name, value in arguments.items() if value is not None}


def overriding(function: Any, input: Any, p: Any, rest: tuple[Any, ...]) -> torch.Tensor:
    """The result of `function` where `overridden(input)`; `rest` is that of `_call.apply`."""
    training, inplace, key, generator, broadcast_dims, layout, out = rest
    others = given(
        key=key,
        generator=generator,
        broadcast_dims=broadcast_dims or None,
        layout=layout,
        out=out,
    )
    y: torch.Tensor = handle(function, (input,), input, p, training, inplace, **others)
    return y
