"""The p that a target already has: bound by a partial, or an attribute of an instance."""

from __future__ import annotations

import functools
import numbers
from typing import Any, cast

import torch

from ..._tools.loading import one_line, target_error
from ..subject import Spec
from ._hints import Hints
from ._reading import Reading
from ._roles import KEEP_NAMES, P_NAMES, PART_NAMES, Slot, of_parts, one_of_parts, pick
from ._words import listed, shown_value


def as_number(value: object) -> float | None:
    """The value of a number or of a one-element tensor, else None."""
    if isinstance(value, torch.Tensor) and value.numel() == 1 and not value.is_complex():
        return float(value)
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return float(cast(float, value)) if is_number else None


def as_p(name: str, where: str, value: object, flipped: bool) -> float:
    """A number, or a tensor of one element, as a drop probability."""
    number = as_number(value)
    if number is None or not 0 <= number <= 1:
        raise target_error(name, f"to have a probability in [0, 1] in {where}", shown_value(value))
    return 1 - number if flipped else number


def bound_p(name: str, reading: Reading, slot: Slot) -> float | None:
    """The p that a partial has bound, if any."""
    if slot.name not in reading.bound:
        return None
    return as_p(name, f"`{slot.name}`", reading.bound[slot.name], slot.flipped)


def held_p(thing: Any, name: str, hints: Hints) -> tuple[str, Slot, float]:
    """Where an instance holds its p: as stated, in its own attribute, or in one submodule."""
    stated = hints.p or hints.keep
    if stated is not None:
        slot = Slot(stated, flipped=hints.keep is not None)
        try:
            value = functools.reduce(getattr, stated.split("."), thing)
        except AttributeError as error:
            flag = "--p-name" if hints.p else "--keep-prob"
            raise target_error(
                name, f"to have the attribute {stated!r} that {flag} names", one_line(error)
            ) from error
        return stated, slot, as_p(name, f"`{stated}`", value, slot.flipped)
    own = _attribute_p(thing, hints.spec)
    if own is not None:
        return own.name, own, as_p(name, f"`{own.name}`", getattr(thing, own.name), own.flipped)
    inner = _p_of_submodules(thing, hints.spec)
    if len(inner) == 1:
        path, module, slot = inner[0]
        where = f"{path}.{slot.name}"
        return where, slot, as_p(name, f"`{where}`", getattr(module, slot.name), slot.flipped)
    part = one_of_parts(name, [n for n in of_parts(_names(thing)) if _holds_number(thing, n)])
    if part is not None:
        return part, Slot(part), as_p(name, f"`{part}`", getattr(thing, part), False)
    places = [f"{path}.{slot.name}" for path, _, slot in inner]
    got = f"several: {listed(places)}" if inner else "none (tried " + ", ".join(P_NAMES) + ")"
    could_be = inner or [v for v in getattr(thing, "__dict__", {}).values() if _could_be_p(v)]
    hint = "state it with --p-name NAME, or use a class or a factory f(p)"
    if not could_be:
        hint = "none of its attributes could be p; use a class or a factory f(p)"
    raise target_error(name, "to hold its drop probability in one attribute", got, hint)


def _could_be_p(value: object) -> bool:
    number = as_number(value)
    return number is not None and 0 <= number <= 1 and not isinstance(value, int)


def _names(thing: object) -> list[str]:
    """The names of its attributes; `dir` does not list the constants of a scripted module."""
    scripted = isinstance(thing, torch.jit.ScriptModule)
    hidden = P_NAMES + KEEP_NAMES + PART_NAMES if scripted else ()
    return [*dir(thing), *(name for name in hidden if hasattr(thing, name))]


def _holds_number(thing: object, name: str) -> bool:
    return as_number(getattr(thing, name, None)) is not None


def _attribute_p(thing: object, spec: Spec) -> Slot | None:
    """The attribute of this object that is a number and has a known name of p."""
    drops = spec.parameters + P_NAMES
    names = [n for n in _names(thing) if pick([n], drops + KEEP_NAMES)]
    held = [n for n in names if _holds_number(thing, n)]
    drop, keep = pick(held, drops), pick(held, KEEP_NAMES)
    if drop is not None:
        return Slot(drop)
    return Slot(keep, flipped=True) if keep is not None else None


def _p_of_submodules(thing: Any, spec: Spec) -> list[tuple[str, torch.nn.Module, Slot]]:
    """The submodules that hold a p, and where."""
    inner = thing.named_modules() if isinstance(thing, torch.nn.Module) else ()
    return [(path, m, slot) for path, m in inner if path and (slot := _attribute_p(m, spec))]
