"""TD163: a `train()` of a Module that does not do what `eval()` needs."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import Code, Function, Unknown, speaks_of_training, words
from ..findings import Edit, Fix
from ._bases import has_plain_bases, is_stub
from ._rule import Hit, rule

BROKEN = """\
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.frozen = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.5)

    def train(self, mode=True):
        super().train()
        self.frozen.eval()
        return self

    def forward(self, x):
        return self.drop(self.frozen(x))
"""
FIXED = BROKEN.replace("super().train()", "super().train(mode)")
_LEARNS = frozenset(("backward", "step", "zero_grad"))
_SWITCHES = frozenset(
    ("mode", "flag", "on", "enable", "enabled", "status", "state", "train", "training", "eval")
)


@rule("TD163", "modes", BROKEN, FIXED)
def train_overridden(code: Code) -> Iterator[Hit]:
    """A Module's `train` accepts the mode that `eval` passes to it.

    The rule looks for a Module without an `eval()` of its own whose `train()` has no parameter for
    the mode, needs more than one argument, runs a training with its argument, or ignores it and
    puts everything in training mode. `Module.eval()` is `self.train(False)`, and a parent's
    `eval()` and `train()` call `train(mode)` of each child.

    A `train()` that does nothing, or always passes False, freezes the module: it is not reported.
    Nor is a class with a base in another file, which may have an `eval()` of its own.

    To fix: `def train(self, mode=True)` with `super().train(mode)`; name a method that trains the
    model `fit`.

    Seen in: DA-RNN#21, minimalRL#2, metal#71, ultralytics#9112 (eval() begins to train),
    ultralytics#17751, RT-DETR#80, pykan#6; torch_geometric 2.8.1 llm/models/glem.py:153
    """
    for cls in code.classes:
        train = cls.methods.get("train")
        if train is None or train.node.decorator_list or is_stub(train.node.body):
            continue
        if has_plain_bases(code, cls) and not (cls.method("eval") or cls.assigned("eval")):
            yield from _wrong(code, train)


def _wrong(code: Code, train: Function) -> Iterator[Hit]:
    arguments = train.node.args
    places = [*arguments.posonlyargs, *arguments.args]
    if not places:
        return
    receiver, *given = places
    by_name = [each.arg for each in arguments.kwonlyargs]
    needed = [n for n in (*(e.arg for e in given), *by_name) if n not in train.defaults]
    problem = ""
    if not given and arguments.vararg is None:
        problem = f"train({receiver.arg}) accepts no mode: eval() calls train(False), a TypeError"
    elif len(needed) > 1 or not {*needed}.isdisjoint(by_name):
        problem = f"train() needs {', '.join(needed)}: eval() calls train(False), a TypeError"
    elif given and _is_training(code, train, given[0].arg):
        problem = f"eval() calls train(False): this train() runs with {given[0].arg}=False"
    if problem:
        hint = "call it fit, or accept mode=True and pass it on"
        yield Hit(given[0] if given else receiver, problem, hint)
    elif given and not code.is_deliberate(train.node):
        mode = given[0].arg
        calls = _ignoring(code, train, mode)
        edits = tuple(Edit(*code.span(e), f"{code.text_of(e.func)}({mode})") for e in calls)
        if calls:
            said = f"train() ignores {mode}: eval() leaves everything in training"
            fix = Fix(f"pass {mode} on", edits, safe=False)
            yield Hit(given[0], said, f"super().train({mode})", fix)


def _is_training(code: Code, train: Function, first: str) -> bool:
    """Whether the first parameter is surely not a mode, since the method runs a training."""
    default = train.defaults.get(first)
    value = None if default is None else code.value(default)
    if isinstance(value, (bool, Unknown)) or not _SWITCHES.isdisjoint(words(first)[-1:]):
        return False
    calls = [*code.inside(train.node, ast.Call)]
    is_passed_on = any(
        speaks_of_training(getattr(call.func, "attr", ""))
        and any(isinstance(each, ast.Name) and each.id == first for each in call.args)
        for call in calls
    )
    if is_passed_on or any(e.attr == "training" for e in code.inside(train.node, ast.Attribute)):
        return False
    return default is not None or any(getattr(c.func, "attr", "") in _LEARNS for c in calls)


def _ignoring(code: Code, train: Function, mode: str) -> list[ast.Call]:
    """Returns the calls that put the Module in training; none if the mode is used or set later."""
    if {mode, "locals"} & {each.id for each in code.inside(train.node, ast.Name)}:
        return []
    found = []
    for call in code.inside(train.node, ast.Call):
        func = call.func
        if not isinstance(func, ast.Attribute) or func.attr not in ("train", "eval"):
            continue
        of = func.value.func if isinstance(func.value, ast.Call) else func.value
        owner = of.id if isinstance(of, ast.Name) else ""
        is_on = all(code.value(each) is True for each in call.args) and not call.keywords
        if owner == "super" and func.attr == "train" and is_on:
            found.append(call)
        elif owner in ("super", train.parameters[0].arg):
            return []
    return found
