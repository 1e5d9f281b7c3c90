"""Which tensor of a model's output is the prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ..._core._validate import is_integer, wrong_type, wrong_value
from ._probe import flat

Selector = int | str | Callable[[Any], Any]


def select_output(output: Any, selector: Selector | None = None) -> torch.Tensor:
    """Return the tensor of a model's output that is the prediction.

    Args:
        output: What the model returned: a tensor, or a tuple, mapping or object with tensors.
        selector: An integer for an item of a tuple, a string for an item of a mapping or an
            attribute, or a function of the output. None takes the only tensor of the output.

    Returns:
        The tensor, which is not copied.

    Raises:
        ArgumentTypeError: No selector is given and the output does not have just one tensor, the
            selector is of another type, or what it selects is not a tensor.
        ArgumentValueError: The output has no such item.

    Example:
        >>> import torch
        >>> select_output({"logits": torch.ones(2, 3), "loss": None}).shape
        torch.Size([2, 3])
        >>> select_output((torch.ones(2, 3), torch.ones(2)), 1).shape
        torch.Size([2])
        >>> mean, log_variance = torch.zeros(2), torch.zeros(2)
        >>> select_output((mean, log_variance), lambda output: output[1].exp())
        tensor([1., 1.])
    """
    if isinstance(output, torch.Tensor) and selector is None:
        return output
    if selector is None:
        found = _only(output)
    elif is_integer(selector):
        found = _item(output, selector)
    elif isinstance(selector, str):
        found = _named(output, selector)
    elif callable(selector):
        found = selector(output)
    else:
        wrong_type("output", "an integer, a string or a function that selects a tensor", selector)
    if isinstance(found, torch.Tensor):
        return found
    return wrong_type(f"the output that {selector!r} selects", "a tensor", found)


def _only(output: Any) -> torch.Tensor:
    """The only tensor of an output, however deep it lies."""
    tensors = [leaf for leaf in flat(output)[0] if isinstance(leaf, torch.Tensor)]
    if len(tensors) == 1:
        return tensors[0]
    expected = f"given, to select a tensor of the model's {_what(output)}"
    parts: Any = enumerate(output) if isinstance(output, (tuple, list)) else ()
    if isinstance(output, Mapping):
        parts = output.items()
    elif fields := getattr(output, "_asdict", None):
        parts = fields().items()
    elif not parts:
        parts = getattr(output, "__dict__", {}).items()
    named = (name for name, part in parts if isinstance(part, torch.Tensor) and part.ndim)
    if (name := next(named, None)) is not None:  # a loss has no dimensions
        expected += f" (for example output={name!r})"
    return wrong_type("output", expected, None)


def _item(output: Any, place: int) -> Any:
    if isinstance(output, Mapping) or not isinstance(output, Sequence):
        wrong_type("output", f"a selector for the model's {_what(output)}", place)
    if not -len(output) <= place < len(output):
        wrong_value("output", f"the place of a tensor in the model's {_what(output)}", place)
    return output[place]


def _named(output: Any, name: str) -> Any:
    if isinstance(output, Mapping) and name in output:
        return output[name]
    if not isinstance(output, Mapping) and hasattr(output, name):
        return getattr(output, name)
    return wrong_value("output", f"a name in the model's {_what(output)}", name)


def _what(output: Any) -> str:
    """The output in words: its type, and what can be selected in it."""
    kind = type(output).__name__
    if isinstance(output, Mapping):
        return f"{kind} with {', '.join(map(repr, output))}"
    fields = getattr(output, "_fields", None)  # a named tuple
    if fields:
        return f"{kind} with {', '.join(map(repr, fields))}"
    if isinstance(output, (tuple, list)):
        return f"{kind} of {len(output)} items"
    return kind
