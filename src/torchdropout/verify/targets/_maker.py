"""A class or a factory: built at each p."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from ..._tools.loading import Home, one_line, target_error
from ..subject import Built, Subject
from ._hints import Hints
from ._numbers import bound_p
from ._reading import Reading, read_call, unfilled
from ._roles import Slot, constants, drop_or_keep, first_rate, guesses, no_p, p_slot
from ._target import TRIAL_P, Target
from ._use import COMPILED, use_of
from ._words import HOW_TO_STATE, listed


class _Maker(Target):
    """A class or a factory: built at each p."""

    def __init__(
        self, name: str, hints: Hints, home: Home, reading: Reading, slot: Slot, article: str
    ) -> None:
        self._reading, self._slot, self._home, self._hints = reading, slot, home, hints
        self._given = constants(reading, hints.spec)
        fixed = bound_p(name, reading, slot)
        made = self._try(name)
        self._use = use_of(made, name, hints)
        value = "1 - p" if slot.flipped else "p"
        arguments = {} if slot.name in reading.bound else {slot.name: value}
        shown = reading.show(arguments | {k: repr(v) for k, v in self._given.items()})
        super().__init__(
            name,
            "class",
            f"{article}, built as {shown}{self._use.note}{guesses(reading, slot)}"
            + COMPILED * bool(hints.compile),
            fixed_p=fixed,
            has_eval=self._use.slot is not None or self._use.switch is not None,
            takes_inplace="inplace" in reading.free,
        )

    def build(self, p: Any, *, inplace: bool = False) -> Built:
        self._check_own(p)
        with self._home:
            made = self._make(p, inplace=inplace)
        return self._use.built(p, made, self._home, self._check_mode, self._hints.compile)

    def _make(self, p: Any, *, inplace: bool = False) -> Any:
        slot = self._slot
        given = {"inplace": True, **self._given} if inplace else self._given
        if slot.name in self._reading.bound:
            return self._reading.call(given)
        return self._reading.call({slot.name: drop_or_keep(slot, p), **given})

    def _try(self, name: str) -> Any:
        """Builds once: a class that cannot be built is not a target, and would fail every check."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._make(TRIAL_P)
        except Exception as error:
            shown = self._reading.show({self._slot.name: f"{drop_or_keep(self._slot, TRIAL_P)}"})
            # If p was found by its name, another argument for p is not the cause.
            hint = HOW_TO_STATE if self._slot.guessed or self._reading.assumed else ""
            raise target_error(name, f"to be built as {shown}", one_line(error), hint) from error


def maker_subject(
    thing: Callable[..., Any], name: str, hints: Hints, home: Home, article: str
) -> Subject:
    reading = read_call(thing, (hints.p or hints.keep or "p",))
    slot = p_slot(name, reading, hints) or first_rate(reading, ())
    if slot is None:
        raise no_p(name, article, reading)
    missing = unfilled(reading, [slot.name, *constants(reading, hints.spec)])
    if missing:
        raise target_error(
            name,
            "to be built from the drop probability alone",
            f"a {article} that also requires {listed(missing)}",
            "use an instance, or a functools.partial or factory f(p) that passes them",
        )
    return _Maker(name, hints, home, reading, slot, article)
