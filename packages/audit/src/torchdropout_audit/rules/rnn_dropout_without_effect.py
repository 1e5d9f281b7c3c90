"""TD131: the dropout of an RNN with one layer."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from ..code import RNNS, Call, Code, Function
from ..reporting.findings import Severity
from ._constants import ByDefault, constants
from ._dropouts import default_of, is_number, is_refused
from ._rule import Hit, kept, rule

BROKEN = """\
from torch import nn

rnn = nn.LSTM(8, 16, dropout=0.5)
"""
FIXED = BROKEN.replace("16, ", "16, num_layers=2, ")
_Known = Literal["surely", "by its callers", "by default", ""]
_SAID = {
    "surely": "has one layer",
    "by its callers": "has one layer wherever the project builds it",
    "by default": "has one layer unless the caller asks for more",
}


@rule("TD131", "modules", BROKEN, FIXED)
def rnn_dropout_without_effect(code: Code) -> Iterator[Hit]:
    """An RNN with dropout has more than one layer.

    The rule looks for `nn.RNN`, `nn.LSTM` or `nn.GRU`, one of torchdropout's, or one chosen by its
    name (`getattr(nn, kind)`), with a dropout above 0 and one layer, which is the default. The
    number of layers is followed through names and the calls of the file. It is advice if the rate
    is not known, if the calls in other files of the project ask for one layer, or if defaults of
    parameters say so. Nothing is reported if the number of layers is not known, if two places give
    different ones, or if a test looks at it (`dropout=p if layers > 1 else 0`).

    The dropout of an RNN acts between its layers, on the output of each but the last. With one
    layer it acts nowhere; torch warns once, when the module is built. Another dropout next to the
    RNN does not change this.

    To fix: give it no dropout, and drop its output if nothing does, or use more layers.

    Seen in: pytorch#5985; pyro#1415; pytorch-forecasting#2172; nemo
    collections/audio/models/maxine/bnr.py:78
    """
    for call in (_as_rnn(code, each) for each in code.calls):
        given = call.argument("dropout") if call.name in RNNS else None
        if not isinstance(given, ast.expr) or is_refused(code, call.node):
            continue
        known = _one(code, call)
        severity = _severity(code, given) if known else None
        if known == "by default":
            severity = "advice" if severity == "error" else None
        elif known == "by its callers" and severity is not None:
            severity = "advice"  # callers outside the project may ask for more
        if severity is None or (severity == "advice" and code.place.is_test):
            continue
        kind = (call.name or "").rpartition(".")[2]
        what = f"the dropout of {kind} acts between its layers, and this one {_SAID[known]}"
        hint = "give it no dropout, and drop its output if nothing does, or use more layers"
        yield Hit(given, f"{what}: it has no effect", hint, severity=severity)


def _as_rnn(code: Code, call: Call) -> Call:
    """Returns a call with the name of an RNN if its class is chosen: `getattr(nn, kind)(...)`."""
    func = call.node.func
    is_chosen = (
        isinstance(func, ast.Call)
        and getattr(func.func, "id", "") == "getattr"
        and code.name(func.args[0]) == "torch.nn"
        and call.argument("dropout") is not None
    )
    return replace(call, name="torch.nn.RNN") if is_chosen else call


def _one(code: Code, call: Call) -> _Known:
    """Returns how it is known that a number of layers is 1."""
    layers = call.argument("num_layers")
    if layers is None:
        return "surely"
    if not isinstance(layers, ast.expr):
        return ""
    name = layers.id if isinstance(layers, ast.Name) else ""
    if call.function is not None and _is_tested(code, call.function, name):
        return ""
    elsewhere = _given_elsewhere(code, call.function, layers)
    if elsewhere:
        rates = _given_elsewhere(code, call.function, call.argument("dropout"))
        return "by its callers" if set(elsewhere) == {1} and set(rates) != {0} else ""
    values = constants(code).of(layers)
    if values == {1}:
        return "surely"
    return "by default" if values <= {1, ByDefault(1)} else ""


def _given_elsewhere(code: Code, function: Function | None, expr: object) -> Sequence[object]:
    """Returns what the calls in other files give a parameter."""
    name = expr.id if isinstance(expr, ast.Name) else ""
    if function is None or name not in function.names:
        return ()
    target = function.cls if function.name == "__init__" else function
    if code.project is None or target is None or code.defined(target.name) is not target:
        return ()
    calls = code.project.calls(code, target) or ()
    given = ((file, function.given(call, name)) for file, call in calls)
    return [file.value(g) if isinstance(g, ast.expr) else "unknown" for file, g in given]


@kept
def _is_tested(code: Code, function: Function, name: str) -> bool:
    """Whether a test looks at a name."""
    tests = (ast.IfExp, ast.Compare, ast.BoolOp, ast.Assert)
    for node in code.names_in(function.node).get(name, ()):
        below: ast.AST = node
        for parent in code.parents(node):
            if isinstance(parent, tests) or (isinstance(parent, ast.If) and below is parent.test):
                return True
            below = parent
    return False


def _severity(code: Code, rate: ast.expr) -> Severity | None:
    """An error for a rate above 0, advice for one that is not known; none for one that may be 0."""
    p = default_of(code, rate)
    if is_number(p):
        return "error" if p > 0 else None if is_number(code.value(rate)) else "advice"
    values = [rate, *(each for each in code.assigned(rate) if each is not None)]
    # A computed rate may be 0 for one layer.
    return "advice" if all(map(_is_option, values)) else None


def _is_option(rate: ast.expr) -> bool:
    """Whether a rate is an option as it is."""
    func = rate.func if isinstance(rate, ast.Call) else None
    is_get = isinstance(func, ast.Attribute) and func.attr == "get"
    return is_get or isinstance(rate, (ast.Name, ast.Attribute, ast.Subscript))
