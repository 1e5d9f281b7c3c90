"""How a built object, a module or another callable, is put into a mode and called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ..._tools.loading import Home, target_error
from ..subject import Built
from ._hints import Hints
from ._reading import read_call, unfilled
from ._roles import Slot, first_input, input_names, require_input, training_slot
from ._words import listed, shown_value

COMPILED = "; compiled"


# Puts an object into a mode.
_Switch = Callable[[Any, bool], None]


@dataclass(frozen=True)
class Use:
    """How a built object is put into a mode and called."""

    slot: Slot | None
    switch: _Switch | None
    note: str
    names: Mapping[str, str] = field(default_factory=dict)

    def built(
        self, p: Any, thing: Any, home: Home, check: Callable[[bool], None], compile: bool | str
    ) -> Built:
        """The object, ready to be called."""

        def again(other: torch.nn.Module, p: float) -> Built:
            return self.built(p, other, home, check, compile)

        module = thing if isinstance(thing, torch.nn.Module) else None
        call = self._bind(thing, home, check, compile)
        names = frozenset(self.names)
        return Built(p, call, module, inputs=names, again=again if module is not None else None)

    def _bind(
        self, thing: Any, home: Home, check: Callable[[bool], None], compile: bool | str
    ) -> Callable[..., Any]:
        slot, switch = self.slot, self.switch
        run = compiled(thing, compile)
        # A module that has no other modules needs no second call of `train` for the same mode:
        # it takes longer than a small dropout.
        is_single = isinstance(thing, torch.nn.Module) and next(thing.children(), None) is None
        mode: bool | None = None

        def call(x: torch.Tensor, training: bool, **inputs: torch.Tensor) -> Any:
            nonlocal mode
            check(training)
            given: dict[str, Any] = renamed(inputs, self.names)
            if slot is not None:
                given[slot.name] = training is not slot.flipped
            with home:
                if switch is not None and not (
                    is_single and mode is training and thing.training is training
                ):
                    switch(thing, training)
                    mode = training
                return run(x, **given)

        return call


def compiled(thing: Any, compile: bool | str) -> Any:
    """The object, compiled by `torch.compile` if requested."""
    if not compile:
        return thing
    return torch.compile(thing, backend="inductor" if compile is True else compile)


def renamed(inputs: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names[role]: value for role, value in inputs.items() if role in names}


def use_of(thing: Any, name: str, hints: Hints) -> Use:
    """Reads how a built object is called."""
    is_module = isinstance(thing, torch.nn.Module)
    if not callable(thing):
        raise target_error(
            name, "to make something that can be called on a tensor", shown_value(thing)
        )
    reading = read_call(thing.forward if is_module else thing, ("x",))
    slot = training_slot(name, reading, hints) if hints.training or not reading.assumed else None
    names = input_names(name, reading, hints.spec)
    given = [first_input(reading, [slot]), slot.name if slot else None, *names.values()]
    require_input(name, reading, given[0])
    missing = unfilled(reading, [argument for argument in given if argument])
    if missing:
        raise target_error(
            name,
            "to be called on a tensor alone",
            f"{type(thing).__qualname__}, whose call also requires {listed(missing)}",
            "use a function f(x, p, training) that passes them",
        )
    switch: _Switch | None = None
    if is_module or callable(getattr(thing, "train", None)):
        switch = _switch_by_method
    elif isinstance(getattr(thing, "training", None), bool):
        switch = _switch_by_attribute
    if slot is not None:
        note = f", called with {slot.name}={'not ' if slot.flipped else ''}training"
    else:
        note = "" if switch else "; it has no training mode to set, so eval is not checked"
    return Use(slot, switch, note, names)


def _switch_by_method(thing: Any, training: bool) -> None:
    thing.train(training)


def _switch_by_attribute(thing: Any, training: bool) -> None:
    thing.training = training
