"""Tensor subclasses and tracers that override torch functions may override ours."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, cast

import torch
from torch.overrides import handle_torch_function, has_torch_function_unary

P = ParamSpec("P")


def overridable(function: Callable[P, torch.Tensor]) -> Callable[P, torch.Tensor]:
    """Offer the call to `__torch_function__` of the input first, as torch's functions do.

    So a `torch.fx` tracer records one call of ours instead of looking inside it.
    """

    @functools.wraps(function)
    def wrapper(input: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        if has_torch_function_unary(input):
            return handle_torch_function(wrapper, (input,), input, *args, **kwargs)
        return function(input, *args, **kwargs)

    return cast("Callable[P, torch.Tensor]", wrapper)


def given(**arguments: Any) -> dict[str, Any]:
    """The arguments that are not None."""
    return {name: value for name, value in arguments.items() if value is not None}
