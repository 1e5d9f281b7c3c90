"""An instance: copied, at its own p."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch

from ..._tools.loading import Home, one_line, target_error
from ..subject import Built
from ._hints import Hints
from ._numbers import held_p
from ._target import Target
from ._use import COMPILED, use_of


def is_scripted(thing: object) -> bool:
    return isinstance(thing, torch.jit.ScriptModule)


def _accepts_inplace(thing: object) -> bool:
    """Whether it was built with an `inplace`: some inherit an attribute that they do not use."""
    if is_scripted(thing):  # a scripted module holds it as a constant
        return False
    try:
        return "inplace" in inspect.signature(type(thing)).parameters
    except (TypeError, ValueError):
        return False


class Instance(Target):
    """A module, or another callable with its own p: copied for each build."""

    def __init__(self, thing: Any, name: str, hints: Hints, home: Home) -> None:
        if hints.compile and is_scripted(thing):
            raise target_error(
                name, "to be compiled", "a scripted module, which torch.compile does not accept"
            )
        where, slot, p = held_p(thing, name, hints)
        self._home = home
        self._thing = thing
        # The checks must not change the caller's object.
        try:
            made = copy.deepcopy(thing)
        except Exception as error:
            raise target_error(name, "to survive copy.deepcopy", one_line(error)) from error
        self._use = use_of(made, name, hints)
        article = "module instance" if isinstance(thing, torch.nn.Module) else "callable object"
        article = f"scripted {article}" if is_scripted(thing) else article
        keep = ", read as a keep probability" if slot.flipped else ""
        inplace = getattr(thing, "inplace", None) if _accepts_inplace(thing) else None
        unset = ", with inplace=False except in `inplace-claim`" if inplace is True else ""
        super().__init__(
            name,
            "instance",
            f"{article}, p={p:g} read from `{where}`{keep}{unset}{self._use.note}"
            + COMPILED * bool(hints.compile),
            fixed_p=p,
            has_eval=self._use.slot is not None or self._use.switch is not None,
            takes_inplace=isinstance(inplace, bool),
        )
        self._compile = hints.compile

    def build(self, p: Any, *, inplace: bool = False) -> Built:
        self._check_own(p)
        with self._home:
            made = copy.deepcopy(self._thing)
        if self.takes_inplace:
            made.inplace = inplace
        return self._use.built(p, made, self._home, self._check_mode, self._compile)
