"""Where a module holds its p, and how another is set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

OTHER_P = 0.61


def rates_held(module: torch.nn.Module, p: float) -> Iterator[tuple[str, torch.nn.Module, str]]:
    """The attributes of a module and its parts that hold p or 1 - p: path, owner and name."""
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if isinstance(value, float) and value in (p, 1 - p):
                yield f"{path}.{name}".lstrip("."), part, name


def set_rates(module: torch.nn.Module, p: float, other: float) -> None:
    """Set all of them for another p; an attribute that refuses stays as it is."""
    for _, part, name in list(rates_held(module, p)):
        with contextlib.suppress(AttributeError, TypeError, ValueError):
            setattr(part, name, other if getattr(part, name) == p else 1 - other)
