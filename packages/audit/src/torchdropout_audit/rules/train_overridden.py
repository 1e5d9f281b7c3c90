"""TD163: a `train()` of a Module that does not do what `eval()` needs."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from ..code import UNKNOWN, Call, Class, Code, Function, speaks_of_training, words
from ..findings import Edit, Fix
from ._bases import has_bases_of_torch, has_plain_bases, is_stub
from ._rule import Hit, kept, rule

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


@rule(
    "TD163",
    group="modes",
    broken=BROKEN,
    fixed=FIXED,
    evidence="DA-RNN#21, minimalRL#2, metal#71, ultralytics#9112 (eval() begins to train), "
    "ultralytics#17751, RT-DETR#80, pykan#6; torch_geometric 2.8.1 llm/models/glem.py:153",
)
def train_overridden(code: Code) -> Iterator[Hit]:
    """A Module's `train` accepts the mode that `eval` passes to it.

    The rule looks for a Module without an `eval()` of its own whose `train()` has no parameter for
    the mode, needs more than one argument, runs a training with its argument, or ignores it and
    puts everything in training mode.

    `Module.eval()` is `self.train(False)`, and a parent's `eval()` and `train()` call `train(mode)`
    of each child. A `train()` without a parameter raises TypeError. One whose parameter is the
    number of epochs starts to train. One that ignores it, `super().train()`, leaves the dropouts on
    in evaluation.

    A `train()` that does nothing, or always passes False, freezes the module: it is not reported.
    It is advice if a base is in another file, where it may have an `eval()` of its own, and the
    class reads `self.training`.

    To fix: `def train(self, mode=True)` with `super().train(mode)`; name a method that trains the
    model `fit`.
    """
    trains = Counter(one.cls for one in code.functions if one.name == "train")
    for cls in code.classes:
        train = cls.methods.get("train")
        if train is None or train.node.decorator_list or is_stub(train.node.body):
            continue
        if cls.method("eval") or cls.assigned("eval"):
            continue
        if trains[cls] > 1:
            continue  # a test decides which one counts
        if has_plain_bases(code, cls):
            yield from _judge(code, train)
        elif _is_evidently_module(code, cls):
            for hit in _judge(code, train):
                if hit.fix is None:  # a base may have an `eval()` of its own
                    yield replace(hit, severity="advice")


def _is_evidently_module(code: Code, cls: Class) -> bool:
    """Whether a class with an unknown base is a Module: it reads `self.training`, and sets none."""
    if not cls.is_module or cls.assigned("training") or has_bases_of_torch(code, cls):
        return False
    return any(
        node.attr == "training" and isinstance(node.value, ast.Name) and node.value.id == "self"
        for name, method in cls.methods.items()
        if name not in ("__init__", "train")
        for node in code.inside(method.node, ast.Attribute)
    )


def _judge(code: Code, train: Function) -> Iterator[Hit]:
    arguments = train.node.args
    places = [*arguments.posonlyargs, *arguments.args]
    if not places:
        return
    receiver, *given = places
    needed = [each.arg for each in given if each.arg not in train.defaults]
    by_name = [each.arg for each in arguments.kwonlyargs if each.arg not in train.defaults]
    problem = ""
    if not given and arguments.vararg is None:
        problem = f"train({receiver.arg}) accepts no mode: eval() calls train(False), a TypeError"
    elif len(needed) > 1 or by_name:
        names = ", ".join((*needed, *by_name))
        problem = f"train() needs {names}: eval() calls train(False), a TypeError"
    elif given and _is_training(code, train, given[0]):
        problem = f"eval() calls train(False): this train() runs with {given[0].arg}=False"
    if problem:
        hint = "call it fit, or accept mode=True and pass it on"
        yield Hit(given[0] if given else receiver, problem, hint)
    elif given and not code.is_deliberate(train.node):
        calls = _ignoring(code, train, given[0])
        if calls:
            mode = given[0].arg
            edits = tuple(
                Edit(start, end, f"{code.text_of(call.node.func)}({mode})")
                for call in calls
                for start, end in [code.span(call.node)]
                if not call.node.args or isinstance(call.node.args[0], ast.Constant)
            )
            yield Hit(
                given[0],
                f"train() ignores {mode}: eval() leaves everything in training",
                f"super().train({mode})",
                Fix(f"pass {mode} on", edits, safe=False) if len(edits) == len(calls) else None,
            )


def _is_training(code: Code, train: Function, first: ast.arg) -> bool:
    """Whether the first parameter is surely not a mode, since the method runs a training."""
    default = train.defaults.get(first.arg)
    value = UNKNOWN if default is None else code.value(default)
    if isinstance(value, bool) or (default is not None and value is UNKNOWN):
        return False
    if first.annotation is not None and "bool" in code.text_of(first.annotation):
        return False
    nodes = list(ast.walk(train.node))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    if not _SWITCHES.isdisjoint(words(first.arg)[-1:]):
        return False
    if any(isinstance(n, ast.Attribute) and n.attr == "training" for n in nodes) or any(
        _passes_on(call, first.arg) for call in calls
    ):
        return False
    return value is not UNKNOWN or any(
        isinstance(call.func, ast.Attribute) and call.func.attr in _LEARNS for call in calls
    )


def _passes_on(call: ast.Call, name: str) -> bool:
    """Whether a call sets a mode by a parameter: `x.train(flag)`, `set_mode(flag)`."""
    func = call.func
    callee = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    values = [*call.args, *(keyword.value for keyword in call.keywords)]
    return speaks_of_training(callee) and any(
        isinstance(each, ast.Name) and each.id == name for each in values
    )


def _ignoring(code: Code, train: Function, mode: ast.arg) -> list[Call]:
    """Returns the calls that put the Module in training; none if the mode is used or set later."""
    nodes = list(ast.walk(train.node))
    if any(isinstance(node, ast.Name) and node.id in (mode.arg, "locals") for node in nodes):
        return []
    found = []
    for call in _calls(code).get(train, ()):
        if not isinstance(call.node.func, ast.Attribute):
            continue
        func = call.node.func
        is_parent = isinstance(func.value, ast.Call) and _is_super(func.value)
        is_self = isinstance(func.value, ast.Name) and func.value.id == train.parameters[0].arg
        given = _mode(code, call, 0)
        if call.name == "torch.nn.Module.train":
            given, is_parent = _mode(code, call, 1), True
        if func.attr == "train" and is_parent and given is True:
            found.append(call)
        elif func.attr in ("train", "eval") and (is_parent or is_self):
            return []
    return found


@kept
def _calls(code: Code) -> dict[Function | None, list[Call]]:
    """Returns the calls in each function."""
    found: dict[Function | None, list[Call]] = {}
    for call in code.calls:
        found.setdefault(call.function, []).append(call)
    return found


def _is_super(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == "super"


def _mode(code: Code, call: Call, place: int) -> object:
    """Returns the mode that a call of `train` passes; True if it passes none."""
    values = [*call.node.args[place:], *(keyword.value for keyword in call.node.keywords)]
    if not values:
        return True
    return UNKNOWN if isinstance(values[0], ast.Starred) else code.value(values[0])
