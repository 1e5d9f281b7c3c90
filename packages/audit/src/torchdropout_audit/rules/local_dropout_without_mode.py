"""TD107: a dropout function of the file that is called without its mode."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import UNKNOWN, Call, Class, Code, Function, words
from ._dropouts import is_step
from ._edits import add_training
from ._masks import Mask, is_asked_for, masks, parameter, says_drop
from ._rule import Hit, kept, rule

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

_MODES = frozenset(("training", "train", "is_training", "is_train", "istrain", "istraining"))


@rule(
    "TD107",
    group="functional",
    broken=BROKEN,
    fixed=FIXED,
    evidence="WangFeng18/Swin-Transformer#7",
)
def local_dropout_without_mode(code: Code) -> Iterator[Hit]:
    """A dropout function of the file is called with its mode.

    The rule looks at a function whose name says dropout, and at its calls in the same file that run
    at each step of a Module: `drop_path(x, self.drop_prob)`. If the function's parameter `training`
    defaults to True, such a call drops in evaluation, too; if it defaults to False, the call never
    drops. If the function has no such parameter and applies a random mask whatever the mode, the
    call drops in evaluation, too.

    A call that always drops is not reported if it is under a test of training, or if its rate
    depends on one. A call of a function without a mode is not reported in a class that evaluates in
    a method of its own under `@torch.no_grad()`. Code whose name says Monte-Carlo or Bayesian is
    skipped.

    To fix: `training=self.training`; where there is no such parameter, call it only if
    `self.training`.
    """
    if code.is_test:
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
    value = None if default is None else code.value(default)
    if not isinstance(value, bool) or not _decides(function, mode):
        return
    for call in function.callers:
        if function.given(call, mode) is not default or not _is_in_step(code, call):
            continue
        rate = _rate_given(code, function, call)
        if rate is None or (value and not _is_open(code, call, rate)):
            continue
        callee = code.text_of(call.node.func)
        said = f"{callee} drops in eval too: {mode} defaults to True"
        if not value:
            said = f"{callee} never drops: {mode} defaults to False"
        fix = add_training(code, call, mode)
        yield Hit(call.node, said, fix.does if fix else f"give {mode}=", fix)


def _always_on(code: Code, function: Function, mask: Mask) -> Iterator[Hit]:
    """Finds the calls of a function that drops whatever the mode."""
    rate_name = parameter(code, mask)
    if (
        code.gated(mask.node)
        or code.gated(mask.drawn)
        or code.depends_on_training(mask.rate)
        or is_asked_for(code, mask.node, mask.rate, mask.function)
        or not rate_name
    ):
        return
    for call in function.callers:
        rate = function.given(call, rate_name)
        if call.cls is not None and _evaluates_apart(code, call.cls):
            continue
        if _is_in_step(code, call) and _is_open(code, call, rate):
            callee = code.text_of(call.node.func)
            yield Hit(
                call.node,
                f"{callee} drops in eval too: it has no parameter for the mode",
                "call it only if self.training",
            )


def _evaluates_apart(code: Code, cls: Class) -> bool:
    """Whether a class has a method without gradients, so that `forward` may be for training."""
    decorators = (
        each.func if isinstance(each, ast.Call) else each
        for method in cls.methods.values()
        if method.name != "forward"
        for each in method.node.decorator_list
    )
    return any(code.name(each) in ("torch.no_grad", "torch.inference_mode") for each in decorators)


def _decides(function: Function, mode: str) -> bool:
    """Whether the function uses its mode."""
    return any(isinstance(n, ast.Name) and n.id == mode for n in ast.walk(function.node))


def _is_in_step(code: Code, call: Call) -> bool:
    in_module = call.cls is not None and call.cls.is_module
    return in_module and is_step(code, call.function) and not code.is_deliberate(call.node)


def _is_open(code: Code, call: Call, rate: object) -> bool:
    """Whether a call drops in evaluation, too, as far as its place and its rate say."""
    if code.gated(call.node) or not isinstance(rate, ast.expr):
        return False
    return not code.depends_on_training(rate) and code.value(rate) != 0


def _rate_given(code: Code, function: Function, call: Call) -> object:
    """Returns what a call gives as the rate; None where it is 0, or may be anything."""
    name = _rate_name(code, function)
    given = function.given(call, name) if name else None
    is_zero = isinstance(given, ast.expr) and code.value(given) == 0
    return None if is_zero or given is UNKNOWN else given


@kept
def _rate_name(code: Code, function: Function) -> str:
    """Returns the first parameter that may be a rate; "" if there is none."""
    plain = (("p",), ("rate",), ("prob",))
    names = (each.arg for each in function.parameters)
    return next((name for name in names if says_drop(name) or words(name) in plain), "")
