"""The p that a target already has: bound by a partial, or an attribute of an instance."""

from __future__ import annotations

import functools
import numbers
from typing import Any, cast

import torch

from ...loading import one_line, target_error
from ..subject import Spec
from ._hints import Hints
from ._reading import Reading
from ._roles import KEEP_NAMES, P_NAMES, Slot, pick
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
    """Where an instance has its p: as stated, in its own attribute, or in one submodule."""
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
    return _p_of_submodule(thing, name, hints.spec)


def _attribute_p(thing: object, spec: Spec) -> Slot | None:
    """The attribute of this object that is a number and has a name for p."""
    drops = spec.parameters + P_NAMES
    names = [n for n in dir(thing) if pick([n], drops + KEEP_NAMES)]
    held = [n for n in names if as_number(getattr(thing, n, None)) is not None]
    drop, keep = pick(held, drops), pick(held, KEEP_NAMES)
    if drop is not None:
        return Slot(drop)
    return Slot(keep, flipped=True) if keep is not None else None


def _p_of_submodule(thing: Any, name: str, spec: Spec) -> tuple[str, Slot, float]:
    """The p of the only submodule that has one."""
    inner = thing.named_modules() if isinstance(thing, torch.nn.Module) else ()
    found = [(path, m, slot) for path, m in inner if path and (slot := _attribute_p(m, spec))]
    if len(found) == 1:
        path, module, slot = found[0]
        where = f"{path}.{slot.name}"
        return where, slot, as_p(name, f"`{where}`", getattr(module, slot.name), slot.flipped)
    places = [f"{path}.{slot.name}" for path, _, slot in found]
    got = f"several: {listed(places)}" if found else "none (tried " + ", ".join(P_NAMES) + ")"
    could_be = found or [v for v in getattr(thing, "__dict__", {}).values() if _could_be_p(v)]
    hint = "state it with --p-name NAME, or use a class or a factory f(p)"
    if not could_be:
        hint = "none of its attributes could be p; use a class or a factory f(p)"
    raise target_error(name, "to hold its drop probability in one attribute", got, hint)


def _could_be_p(value: object) -> bool:
    number = as_number(value)
    return number is not None and 0 <= number <= 1 and not isinstance(value, int)
