"""A function of x, p and training."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any, cast

import torch

from ..._tools.loading import Home, one_line, target_error
from ..subject import Built, Subject
from ._hints import Hints
from ._numbers import bound_p
from ._reading import Reading, read_call, unfilled
from ._roles import (
    Slot,
    constants,
    drop_or_keep,
    first_input,
    first_rate,
    guesses,
    input_names,
    no_p,
    p_slot,
    require_input,
    training_slot,
)
from ._target import TRIAL_P, Target
from ._use import COMPILED, compiled, renamed
from ._words import listed


class _Function(Target):
    """A function of x, p and training."""

    def __init__(
        self,
        name: str,
        home: Home,
        reading: Reading,
        x: str,
        slots: tuple[Slot, Slot | None],
        hints: Hints,
    ) -> None:
        self._home, self._x = home, x
        self._p, training = slots
        self._names = input_names(name, reading, hints.spec)
        self._given = constants(reading, hints.spec)
        self._run = dataclasses.replace(reading, function=compiled(reading.function, hints.compile))
        bound = reading.bound
        self._gives_p = self._p.name not in bound
        # A partial that has bound it leaves one mode.
        self._training = None if training is None or training.name in bound else training
        values = {x: "x"} | {argument: role for role, argument in self._names.items()}
        if self._gives_p:
            values[self._p.name] = "1 - p" if self._p.flipped else "p"
        if self._training is not None:
            values[self._training.name] = "not training" if self._training.flipped else "training"
        note = "" if self._training else "; it has no training argument, so eval is not checked"
        shown = {argument: repr(value) for argument, value in self._given.items()}
        super().__init__(
            name,
            "function",
            f"function, called as {reading.show(values | shown)}{note}"
            + guesses(reading, self._p)
            + COMPILED * bool(hints.compile),
            fixed_p=bound_p(name, reading, self._p),
            has_eval=self._training is not None,
            takes_inplace="inplace" in reading.free,
        )

    def build(self, p: Any, *, inplace: bool = False) -> Built:
        self._check_own(p)
        fixed = {self._p.name: drop_or_keep(self._p, p)} if self._gives_p else {}
        fixed |= {"inplace": True, **self._given} if inplace else self._given
        flag = self._training

        def call(x: torch.Tensor, training: bool, **inputs: torch.Tensor) -> Any:
            self._check_mode(training)
            mode = {flag.name: training is not flag.flipped} if flag is not None else {}
            given = renamed(inputs, self._names)
            with self._home:
                return self._run.call({self._x: x, **given, **fixed, **mode})

        return Built(p, call, inputs=frozenset(self._names))


def function_subject(thing: Callable[..., Any], name: str, hints: Hints, home: Home) -> Subject:
    reading = read_call(thing, ("x", "p", "training"))
    if reading.assumed:
        reading = _assumed(thing, name, hints)
    training = training_slot(name, reading, hints)
    p = p_slot(name, reading, hints)
    x = first_input(reading, [p, training])
    require_input(name, reading, x)
    if p is None:
        p = first_rate(reading, [n for n in (x, training and training.name) if n])
    if p is None or x is None:
        raise no_p(name, "function", reading, [x, training.name if training else None])
    given = [x, p.name, *([training.name] if training else []), *constants(reading, hints.spec)]
    missing = unfilled(reading, [*given, *input_names(name, reading, hints.spec).values()])
    if missing:
        raise target_error(
            name,
            "to be called as f(x, p, training)",
            f"a function that also requires {listed(missing)}",
            "bind them with functools.partial, or name the roles with --p-name and --training-name",
        )
    return _Function(name, home, reading, x, (p, training), hints)


def _assumed(thing: Callable[..., Any], name: str, hints: Hints) -> Reading:
    """Guesses a signature that Python cannot read: the first that a trial call accepts."""
    refused = []
    doubtful = None
    for with_training in (True, False):
        reading = _guessed_reading(thing, hints, with_training)
        error = _trial(reading, hints)
        if error is None:
            return reading
        if not isinstance(error, TypeError):  # it may accept the arguments, but not this x
            doubtful = doubtful or reading
        shown = reading.show({argument: argument for argument in reading.signature.parameters})
        refused.append(f"{shown} raised {one_line(error)}")
    if doubtful is not None:
        return doubtful
    raise target_error(
        name, "to be called as f(x, p, training)", "; ".join(refused), "wrap it in a function"
    )


def _guessed_reading(thing: Callable[..., Any], hints: Hints, with_training: bool) -> Reading:
    """x, p and perhaps training by position; arguments that the caller named, by name."""
    roles = [("x", None), ("p", hints.p or hints.keep)]
    if with_training or hints.training is not None:
        roles.append(("training", hints.training))
    by_position = [Parameter(r, Parameter.POSITIONAL_ONLY) for r, name in roles if name is None]
    by_name = [Parameter(name, Parameter.KEYWORD_ONLY) for _, name in roles if name is not None]
    return Reading(thing, Signature([*by_position, *by_name]), {}, assumed=True)


def _trial(reading: Reading, hints: Hints) -> Exception | None:
    """The exception that one call raises, if any."""
    values: dict[str, Any] = dict.fromkeys(reading.signature.parameters, TRIAL_P)
    values["x"] = torch.ones(2, 3, 4)
    for flag in {"training", hints.training} & values.keys():
        values[cast(str, flag)] = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reading.call(values)
    except Exception as error:
        return error
    return None
