"""TD107: a dropout function of the file that is called without its mode."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import Call, Code, Function, words
from ._dropouts import is_step
from ._edits import add_training
from ._masks import Mask, is_asked_for, is_gated, masks, parameter, says_drop
from ._rule import Hit, rule

BROKEN = """\
import torch
from torch import nn


def drop_path(x, drop_prob=0.0, training=True):
    if drop_prob == 0.0 or not training:
        return x
    shape = (x.shape[0],) + (1,) * (x.ndim - 1)
    mask = x.new_empty(shape).bernoulli_(1 - drop_prob)
    return x / (1 - drop_prob) * mask


class DropPath(nn.Module):
    def __init__(self, drop_prob=0.1):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        return drop_path(x, self.drop_prob)
"""
FIXED = BROKEN.replace("(x, self.drop_prob)", "(x, self.drop_prob, training=self.training)")

_RATES = (("p",), ("rate",), ("prob",))
_MODES = frozenset(("training", "train", "is_training", "is_train", "istrain", "istraining"))


@rule("TD107", "functional", BROKEN, FIXED)
def local_dropout_without_mode(code: Code) -> Iterator[Hit]:
    """A dropout function of the file is called with its mode.

    The rule looks at a function whose name says dropout, and at its calls in the same file that run
    at each step of a Module: `drop_path(x, self.drop_prob)`. If the function's parameter `training`
    defaults to True, or it has none and applies a random mask whatever the mode, such a call drops
    in evaluation, too; if it defaults to False, the call never drops.

    A call that always drops is not reported if it is under a test of training, or if its rate
    depends on one. Code whose name says Monte-Carlo or Bayesian is skipped.

    To fix: `training=self.training`; where there is no such parameter, call it only if
    `self.training`.

    Seen in: WangFeng18/Swin-Transformer#7
    """
    if code.place.is_test:
        return
    by_function: dict[Function, Mask] = {}
    for mask in masks(code):
        by_function.setdefault(mask.function, mask)
    for function in code.functions:
        if not says_drop(function.name):
            continue
        mode = next((p.arg for p in function.parameters if p.arg.lower() in _MODES), "")
        if mode:
            yield from _without_mode(code, function, mode)
        elif function in by_function:
            yield from _always_on(code, function, by_function[function])


def _without_mode(code: Code, function: Function, mode: str) -> Iterator[Hit]:
    """Finds the calls that leave the mode at its default, whatever the mode of the Module."""
    default = function.defaults.get(mode)
    on = code.value(default)
    names = [each.arg for each in function.parameters]
    rate = next((each for each in names if says_drop(each) or words(each) in _RATES), "")
    if not isinstance(on, bool) or not rate:
        return
    for call in function.callers:
        given = function.given(call, rate)
        if function.given(call, mode) is default and _is_in_step(code, call, given, on=on):
            callee = code.text_of(call.node.func)
            does = "drops in eval too" if on else "never drops"
            said = f"{callee} {does}: {mode} defaults to {on}"
            fix = add_training(code, call, mode)
            yield Hit(call.node, said, fix.does if fix else f"give {mode}=", fix)


def _always_on(code: Code, function: Function, mask: Mask) -> Iterator[Hit]:
    """Finds the calls of a function that drops whatever the mode."""
    rate = parameter(code, mask)
    is_decided = is_gated(code, mask) or is_asked_for(code, mask.node, mask.rate, mask.function)
    for call in function.callers if rate and not is_decided else ():
        if _is_in_step(code, call, function.given(call, rate), on=True):
            callee = code.text_of(call.node.func)
            said = f"{callee} drops in eval too: it has no parameter for the mode"
            yield Hit(call.node, said, "call it only if self.training")


def _is_in_step(code: Code, call: Call, rate: object, *, on: bool) -> bool:
    """Whether a call runs at each step of a Module, with a rate that may not be 0.

    One that drops is no mistake where its place or its rate depends on training.
    """
    if not isinstance(rate, ast.expr) or code.value(rate) == 0 or code.is_deliberate(call.node):
        return False
    if on and (code.gated(call.node) or code.depends_on_training(rate)):
        return False
    return call.cls is not None and call.cls.is_module and is_step(code, call.function)
