"""TD131: the dropout of an RNN with one layer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from ..code import RNNS, Call, Class, Code, Function
from ..reporting.findings import Severity
from ._dropouts import default_of, is_number, is_refused, one_of, rates
from ._rule import Hit, kept, rule

BROKEN = """\
from torch import nn

rnn = nn.LSTM(8, 16, dropout=0.5)
"""
FIXED = BROKEN.replace("16, ", "16, num_layers=2, ")
_KINDS = re.compile(r"(?i)rnn|lstm|gru|cell")


@rule(
    "TD131",
    group="modules",
    broken=BROKEN,
    fixed=FIXED,
    evidence="pytorch#5985; pyro#1415; pytorch-forecasting#2172; nemo "
    "collections/audio/models/maxine/bnr.py:78",
)
def rnn_dropout_without_effect(code: Code) -> Iterator[Hit]:
    """An RNN with dropout has more than one layer.

    The rule looks for `nn.RNN`, `nn.LSTM` or `nn.GRU`, one of torchdropout's, or a choice of these,
    with a dropout above 0 and one layer, which is the default. It is advice if there is surely one
    layer and the rate is not known. It is also advice if only the defaults of two parameters say
    that there is one layer and that the rate is above 0, no other dropout has that rate, and this
    file does not build the class. If the number of layers is not known, or a test looks at it,
    nothing is reported.

    The dropout of an RNN acts between its layers, on the output of each but the last. With one
    layer it acts nowhere; torch warns once, when the module is built.

    To fix: add a separate dropout after the RNN, or use more layers.
    """
    for call in map(partial(_as_rnn, code), code.calls):
        if call.name not in RNNS:
            continue
        by_default = not _has_one_layer(code, call)
        if by_default and not _has_one_by_default(code, call):
            continue
        given = call.argument("dropout")
        if not isinstance(given, ast.expr) or is_refused(code, call.node):
            continue
        severity = _severity(code, given)
        if by_default:
            is_alone = not _acts_elsewhere(code, call, given)
            severity = "advice" if severity == "error" and is_alone else None
        if severity is None or (severity == "advice" and code.is_test):
            continue
        kind = call.name.rpartition(".")[2]
        one = "has one layer unless the caller asks for more" if by_default else "has one layer"
        yield Hit(
            given,
            f"the dropout of {kind} acts between its layers, and this one {one}: it has no effect",
            "add a dropout after it, or more layers",
            severity=severity,
        )


def _as_rnn(code: Code, call: Call) -> Call:
    """Returns a call with the name of an RNN where one of several RNNs is called.

    They have the same arguments: `getattr(nn, kind)(...)`, `cell = nn.LSTM if gated else nn.RNN`.
    """
    if call.name is not None or not _gives_rate(call):
        return call
    func = call.node.func
    if isinstance(func, ast.Call):
        is_own = isinstance(func.func, ast.Name) and func.func.id == "getattr" and func.args
        if is_own and code.name(func.args[0]) == "torch.nn" and len(func.args) == 2:
            parent = next(code.parents(call.node), None)
            target = parent.targets[0] if isinstance(parent, ast.Assign) else func.args[1]
            said = code.text_of(func.args[1]) + " " + code.text_of(target)
            return replace(call, name="torch.nn.RNN") if _KINDS.search(said) else call
        return call
    if isinstance(func, ast.Attribute) and func.attr == "__init__" and call.cls is not None:
        bases = [code.name(each) for each in call.cls.node.bases]
        holder = func.value.func if isinstance(func.value, ast.Call) else None
        is_super = isinstance(holder, ast.Name) and holder.id == "super"
        return (
            replace(call, name=bases[0])
            if is_super and len(bases) == 1 and bases[0] in RNNS
            else call
        )
    name = one_of(code, func, RNNS)
    return call if name is None else replace(call, name=name)


def _gives_rate(call: Call) -> bool:
    return any(keyword.arg == "dropout" for keyword in call.node.keywords)


def _has_one_layer(code: Code, call: Call) -> bool:
    layers = call.argument("num_layers")
    if layers is None:
        return True
    if not isinstance(layers, ast.expr):
        return False
    return code.value(layers) == 1 or _all_give_one(code, call, layers)


def _all_give_one(code: Code, call: Call, layers: ast.expr) -> bool:
    """Whether the file builds a class, and always with one layer."""
    function = call.function
    if function is None or function.name != "__init__" or not isinstance(layers, ast.Name):
        return False
    calls = _built(code).get(function.cls, []) if function.cls is not None else []
    if layers.id not in function.names or _is_tested(code, function, layers.id):
        return False
    given = [function.given(each, layers.id) for each in calls]
    return bool(given) and all(isinstance(g, ast.expr) and code.value(g) == 1 for g in given)


def _has_one_by_default(code: Code, call: Call) -> bool:
    """Whether a parameter with a default of 1 is the number of layers, and nothing looks at it."""
    layers = call.argument("num_layers")
    function = call.function
    if isinstance(layers, ast.Attribute):  # self.num_layers = num_layers
        values = code.assigned(layers)
        layers = values[0] if len(values) == 1 else None
    if function is None or not isinstance(layers, ast.Name) or default_of(code, layers) != 1:
        return False
    if function.name == "__init__" and function.cls in _built(code):
        return False  # with as many layers as that says
    return not function.callers and not _is_tested(code, function, layers.id)


@kept
def _is_tested(code: Code, function: Function, name: str) -> bool:
    """Whether a name is in a test, or in what a test decides."""
    return any(
        isinstance(parent, (ast.If, ast.IfExp, ast.Compare, ast.BoolOp, ast.Assert))
        for each in code.names_in(function.node).get(name, ())
        for parent in code.parents(each)
    )


def _acts_elsewhere(code: Code, call: Call, rate: ast.expr) -> bool:
    """Whether a rate that is a name is that of another dropout, too."""
    name = rate.id if isinstance(rate, ast.Name) else ""
    return (call.function, name) in _other_rates(code)


@kept
def _other_rates(code: Code) -> frozenset[tuple[Function | None, str]]:
    """Returns the names that are rates of dropouts other than those of RNNs, by function."""
    return frozenset(
        (call.function, given.id)
        for call, _, given in rates(code)
        if call.name not in RNNS and isinstance(given, ast.Name)
    )


@kept
def _built(code: Code) -> Mapping[Class, list[Call]]:
    """Returns the classes of a file that it builds itself, each with the calls."""
    found: dict[Class, list[Call]] = {}
    for call in code.calls:
        cls = code.local(call.node.func) if call.name is None else None
        if isinstance(cls, Class):
            found.setdefault(cls, []).append(call)
    return found


def _severity(code: Code, given: ast.expr) -> Severity | None:
    p = default_of(code, given)
    if is_number(p):
        assert isinstance(p, (int, float))
        if p > 0:
            return "error"
        return None if is_number(code.value(given)) else "advice"
    values = [given, *(v for v in code.assigned(given) if v is not None)]
    # A computed rate may be 0 for one layer.
    return "advice" if all(map(_is_option, values)) else None


def _is_option(value: ast.expr) -> bool:
    """Whether a rate is an option as it is, or 1 minus one."""
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Sub):
        return isinstance(value.left, ast.Constant) and _is_option(value.right)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id == "float" and len(value.args) == 1 and _is_option(value.args[0])
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        return value.func.attr == "get"  # options.get("dropout", 0.0)
    return isinstance(value, (ast.Name, ast.Attribute, ast.Subscript))
