"""Tensor subclasses and tracers that override torch functions may override ours."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, cast

import torch
from torch.compiler import is_dynamo_compiling
from torch.overrides import handle_torch_function, has_torch_function, has_torch_function_unary

from .. import _torch

P = ParamSpec("P")


def overridable(function: Callable[P, torch.Tensor]) -> Callable[P, torch.Tensor]:
    """Offer the call to `__torch_function__` of the input first, as torch's functions do.

    So a `torch.fx` tracer records one call of ours instead of looking inside it.
    """

    @functools.wraps(function)
    def wrapper(input: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        if overridden(input):
            return handle_torch_function(wrapper, (input,), input, *args, **kwargs)
        return function(input, *args, **kwargs)

    return cast("Callable[P, torch.Tensor]", wrapper)


def overridden(x: Any, *further: Any) -> bool:
    """Whether a tensor, a tracer or a mode overrides torch's functions in a call with these."""
    # The compiler answers torch's own question without the modes.
    if is_dynamo_compiling() and _torch.function_mode_enabled():
        return True
    return has_torch_function((x, *further)) if further else has_torch_function_unary(x)


def given(**arguments: Any) -> dict[str, Any]:
    """The arguments that are not None."""
    return {name: value for name, value in arguments.items() if value is not None}
