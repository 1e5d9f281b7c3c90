"""Wraps a target: in a checkpoint, on another device, or reduced to the first of its outputs."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from .subject import Built, Subject


class _Wrapped(Subject, ABC):
    """A target whose calls are wrapped."""

    def __init__(self, inner: Subject, note: str) -> None:
        self._inner = inner
        self.name, self.kind = inner.name, inner.kind
        self.description = f"{inner.description}; {note}"
        self.fixed_p, self.has_eval = inner.fixed_p, inner.has_eval
        self.has_gradient, self.takes_inplace = inner.has_gradient, inner.takes_inplace
        self.spec, self.place = inner.spec, inner.place

    def build(self, p: Any, *, inplace: bool = False) -> Built:
        """See `Subject.build`."""
        built = self._inner.build(p, inplace=inplace)

        def call(x: torch.Tensor, training: bool, **inputs: torch.Tensor) -> Any:
            return self._call(built, x, training, inputs)

        return Built(p, call, built.module, inputs=built.inputs)

    @abstractmethod
    def _call(
        self, built: Built, x: torch.Tensor, training: bool, inputs: dict[str, torch.Tensor]
    ) -> Any:
        """Call the inner target, wrapped."""


class First(_Wrapped):
    """A target that returns a tuple; its output is the first."""

    def __init__(self, inner: Subject) -> None:
        super().__init__(inner, "the first of its outputs is y")

    def _call(
        self, built: Built, x: torch.Tensor, training: bool, inputs: dict[str, torch.Tensor]
    ) -> Any:
        y = built.call(x, training, **inputs)
        return y[0] if isinstance(y, (tuple, list)) and y else y


class Checkpointed(_Wrapped):
    """Each call runs inside `torch.utils.checkpoint`, and once more in backward."""

    def __init__(self, inner: Subject) -> None:
        super().__init__(inner, "inside torch.utils.checkpoint")
        self.takes_inplace = False  # the second call would get the values that the first wrote

    def _call(
        self, built: Built, x: torch.Tensor, training: bool, inputs: dict[str, torch.Tensor]
    ) -> Any:
        call = functools.partial(built.call, **inputs)
        return checkpoint(call, x, training, use_reentrant=False)


class OnDevice(_Wrapped):
    """Each call gets its inputs on a device; the output is moved back."""

    def __init__(self, inner: Subject, device: torch.device) -> None:
        super().__init__(inner, f"on {device}")
        self.takes_inplace = False  # it would write into a copy of the caller's x
        self._device = device

    def _call(
        self, built: Built, x: torch.Tensor, training: bool, inputs: dict[str, torch.Tensor]
    ) -> Any:
        if built.module is not None:
            built.module.to(self._device)
        moved = {name: value.to(self._device) for name, value in inputs.items()}
        y = built.call(x.to(self._device), training, **moved)
        if not isinstance(y, torch.Tensor) or y.device.type != self._device.type:
            return y
        return y.to(x.device)
