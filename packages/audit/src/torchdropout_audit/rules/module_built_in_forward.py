"""TD111: a dropout module that is built each time it is used."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ..code import MODULES, UNKNOWN, Call, Code, Function, words
from ..findings import Edit, Fix
from ..reporting.findings import Severity
from ._dropouts import BUILDERS, called, is_step, one_line, spelled, whole
from ._rule import Hit, kept, rule

BROKEN = """\
from torch import nn


class Head(nn.Module):
    def forward(self, x):
        return nn.Dropout(0.5)(x)
"""
FIXED = """\
from torch import nn


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(x)
"""
_SHOWS = frozenset(("main", "demo", "example", "test", "script"))
_BUILDING = ("init", "build", "make", "create", "setup", "reset", "get", "add")
_MODES = frozenset(("train", "eval", "apply"))


@rule("TD111", "modules", BROKEN, FIXED)
def module_built_in_forward(code: Code) -> Iterator[Hit]:
    """A dropout is built once, in `__init__`; built where it is used, it drops in eval, too.

    The rule looks in methods of a Module that have an input, and in functions of the file that
    `forward` calls. It reports `nn.Dropout(p)(x)`, `drop = nn.Dropout(p)` if it is then called, and
    `self.drop = nn.Dropout(p)` in `forward` itself. In a function outside of classes it is advice.
    It reports nothing if a test of training decides, if the function sets a mode, or if a name such
    as `MCDropout` says that dropout is always on.

    A new module is in training mode, whatever the mode of the model. Predictions are random,
    without any warning.

    To fix: build the module in `__init__`, or call `F.dropout(x, p, self.training)`.

    Seen in: ewrfcas/face_attribute_classification_pytorch#1; deepchem 2.8.0
    models/torch_models/dtnn.py:141
    """
    for call in code.calls:
        function = call.function
        if call.name not in BUILDERS or function is None or code.is_deliberate(call.node):
            continue
        given = [*call.node.args, *(keyword.value for keyword in call.node.keywords)]
        if code.gated(call.node) or any(map(code.depends_on_training, given)):
            continue
        built = whole(code, call.node)
        use, parent = called(code, built), next(code.parents(built))
        is_run = is_step(code, function, call.node)
        if use is not None:
            if is_run or _has_input(function):
                yield _hit(code, call, _fix(code, call, use) if built is call.node else None)
            elif _is_helper(code, function):
                yield _hit(code, call, severity="advice")
        elif is_run and isinstance(parent, (ast.Assign, ast.AnnAssign)):
            target = parent.targets[0] if isinstance(parent, ast.Assign) else parent.target
            if not _sets_mode(code, function) and _is_rebuilt(code, function, parent, target):
                yield _hit(code, call)


def _hit(code: Code, call: Call, fix: Fix | None = None, severity: Severity | None = None) -> Hit:
    assert call.function is not None
    said = f"{one_line(code, call.node.func)} is built in {call.function.name}"
    said += ": a new module is in training mode, so it drops in eval too"
    return Hit(call.node, said, fix.does if fix else "build it in __init__", fix, severity)


def _has_input(function: Function) -> bool:
    """Whether a function is a method of a Module that is given something and does not set it up."""
    return (
        function.cls is not None
        and function.cls.is_surely_module
        and not _is_builder(function)
        and len(function.parameters) > 1
    )


def _is_helper(code: Code, function: Function) -> bool:
    """Whether a function outside of classes is given an input, and may be called in eval."""
    return (
        function.cls is None
        and code.class_of(function.node) is None
        and bool(function.parameters)
        and not code.place.is_test
        and not function.callers  # callers in the file decide
        and not _is_builder(function)
        and _SHOWS.isdisjoint(words(function.name))
    )


def _is_builder(function: Function) -> bool:
    return function.name.strip("_").startswith(_BUILDING)


def _is_rebuilt(code: Code, function: Function, statement: ast.stmt, target: ast.expr) -> bool:
    """Whether a local dropout is called as built, or an attribute is built at each step."""
    if isinstance(target, ast.Name):
        uses = (called(code, each) for each in code.names_in(function.node)[target.id])
        return any(use is not None and not code.gated(use) for use in uses)
    is_whole = function.name == "forward" and next(code.parents(statement)) is function.node
    return is_whole and isinstance(target, ast.Attribute)


@kept
def _sets_mode(code: Code, function: Function) -> bool:
    return any(
        each.attr in _MODES or (each.attr == "training" and isinstance(each.ctx, ast.Store))
        for each in code.inside(function.node, ast.Attribute)
    )


def _fix(code: Code, call: Call, outer: ast.Call) -> Fix | None:
    """Changes `nn.Dropout(p)(x)` to `nn.functional.dropout(x, p, self.training)`."""
    p, inplace = call.argument("p"), call.argument("inplace")
    functional, receiver = spelled(code, "torch.nn.functional"), code.receiver(outer)
    is_plain = len(outer.args) == 1 and not outer.keywords and "#" not in code.text_of(outer)
    if not is_plain or isinstance(outer.args[0], ast.Starred):  # a comment would be lost
        return None
    if call.cls is None or call.name not in MODULES or None in (functional, receiver):
        return None
    if UNKNOWN in (p, inplace):
        return None
    rate = code.text_of(p) if isinstance(p, ast.AST) else "0.5"
    given = [code.text_of(outer.args[0]), rate, f"{receiver}.training"]
    if isinstance(inplace, ast.AST):
        given.append(f"inplace={code.text_of(inplace)}")
    name = re.sub(r"\B(?=[A-Z])", "_", call.name.rpartition(".")[2]).lower()  # alpha_dropout
    edit = Edit(*code.span(outer), f"{functional}.{name}({', '.join(given)})")
    does = f"call {functional}.{name} with {receiver}.training"
    return Fix(does, (edit,), call.cls.is_surely_module)
