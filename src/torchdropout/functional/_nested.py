"""Nested tensors: mask indices count the values in order, component after component."""

from __future__ import annotations

from typing import Any

import torch

from .._core import _torch
from ..errors import ArgumentValueError
from ._map import KeyedMap, by_operator


def refuse_for_nested(**arguments: Any) -> None:
    """Refuse arguments that have no meaning for components of different shapes.

    Raises:
        ArgumentValueError: One of them is given.
    """
    for name, value in arguments.items():
        if value:
            raise ArgumentValueError(
                f"Expected no `{name}` with a nested tensor, whose components differ in shape, "
                f"got {name}={value!r} ({type(value).__name__})."
            )


def on_components(x: torch.Tensor, keyed_map: KeyedMap, key: torch.Tensor) -> torch.Tensor:
    """The map of the values of a nested tensor."""
    if x.layout == torch.jagged:
        jagged: Any = x
        values = by_operator(jagged.values(), keyed_map, 0, None, key)
        return torch.nested.nested_tensor_from_jagged(
            values, jagged.offsets(), jagged.lengths(), jagged_dim=_torch.ragged_dim(jagged)
        )
    parts, base = [], 0
    for part in x.unbind():
        parts.append(by_operator(part, keyed_map, base, None, key))
        base += part.numel()
    return torch.nested.as_nested_tensor(parts)
