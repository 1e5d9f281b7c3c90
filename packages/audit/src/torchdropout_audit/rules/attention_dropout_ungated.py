"""TD105: an attention function that drops in evaluation, too."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import ATTENTION, UNKNOWN, Call, Code, Function, Unknown
from ._edits import gate_rate
from ._rule import Hit, kept, rule

BROKEN = """\
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p

    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)
"""

FIXED = BROKEN.replace("dropout_p=self.p", "dropout_p=self.p if self.training else 0.0")

_Found = tuple[ast.expr, str]

_MOST = 200  # expressions that a rate may come from


@rule(
    "TD105",
    group="attention",
    broken=BROKEN,
    fixed=FIXED,
    evidence="pytorch#124464; nanoGPT#240; transformers#33844; torchtune#1791; vjepa2#160",
)
def attention_dropout_ungated(code: Code) -> Iterator[Hit]:
    """An attention function is given a drop rate in training only.

    `scaled_dot_product_attention`, flash-attention's functions and xformers'
    `memory_efficient_attention` do not see a Module's mode: they drop whenever the rate is not 0. A
    model that passes `dropout_p=self.p` drops in evaluation. So does one that calls the function
    through an attribute, or through a `functools.partial`, which may bind the rate.

    It is an error if a Module passes a constant or an attribute, directly or through local
    variables or one call within the file, and no test of training decides on it. It is advice if
    the caller is not known to be a Module. A rate that is a plain parameter is up to the caller.

    To fix: `dropout_p=self.p if self.training else 0.0`.
    """
    marked = set()
    for call in code.calls:
        name, rate = _given(code, call)
        if not isinstance(rate, ast.expr) or code.is_deliberate(call.node):
            continue
        for node, given_by in _ungated(code, rate, call):
            if node in marked:
                continue
            marked.add(node)
            hit = _hit(code, node, given_by, name)
            if hit.severity is None or not code.is_test:
                yield hit


def _given(code: Code, call: Call) -> tuple[str, ast.expr | Unknown | None]:
    """Returns the name of the attention function that a call runs or binds, and the rate."""
    name = call.name or ""
    if name in ATTENTION:
        return name, call.argument(ATTENTION[name])
    if name == "functools.partial":
        name = "" if _is_given_anew(code, call) else _bound(code, call.node)
    elif call.node.keywords:
        values = code.assigned(call.node.func)
        names = {"" if v is None else code.name(v) or _bound(code, v) for v in values}
        name = names.pop() if len(names) == 1 else ""
    if name not in ATTENTION:
        return "", None
    by_name = (k.value for k in call.node.keywords if k.arg == ATTENTION[name])
    return name, next(by_name, None)


def _bound(code: Code, value: ast.expr) -> str:
    """Returns the function of `partial(F.scaled_dot_product_attention)`, or ""."""
    if not isinstance(value, ast.Call) or len(value.args) != 1:
        return ""
    name = code.name(value.args[0]) or ""
    is_partial = code.name(value.func) == "functools.partial"
    return name if is_partial else ""


def _is_given_anew(code: Code, call: Call) -> bool:
    """Whether a call of what a `partial` is bound to may give another rate."""
    parent = next(code.parents(call.node))
    names = map(_last, parent.targets if isinstance(parent, ast.Assign) else [None])
    return any(not name or name in _called_with_rate(code) for name in names)


@kept
def _called_with_rate(code: Code) -> frozenset[str]:
    """Returns the last parts of the names of what is called with a rate by keyword."""
    rates = {*ATTENTION.values(), None}
    return frozenset(
        _last(call.node.func)
        for call in code.calls
        if any(keyword.arg in rates for keyword in call.node.keywords)
    )


def _last(expr: ast.expr | None) -> str:
    return expr.id if isinstance(expr, ast.Name) else getattr(expr, "attr", "")


def _hit(code: Code, node: ast.expr, given_by: str, name: str) -> Hit:
    cls, function = code.class_of(node), code.function_of(node)
    in_module = (cls is not None and cls.is_module) or (function is not None and function.is_step)
    what = name.rpartition(".")[2]
    said = f"{what} drops in eval too: {given_by} is its rate in both modes"
    is_sure = in_module and _is_known(code, node)
    fix = gate_rate(code, node) if in_module else None
    return Hit(
        node, said, fix.does if fix else "give 0.0 in eval", fix, None if is_sure else "advice"
    )


def _is_known(code: Code, rate: ast.expr) -> bool:
    """False for an attribute that a base in another file may define as a property."""
    while isinstance(rate, ast.Attribute) and isinstance(rate.value, ast.Attribute):
        rate = rate.value
    if not isinstance(rate, ast.Attribute) or not isinstance(rate.value, ast.Name):
        return True
    cls = code.class_of(rate)
    if cls is None or rate.value.id != "self" or cls.assigned(rate.attr):
        return True
    return all(
        code.name(base) == "torch.nn.Module" or code.local(base) is not None
        for one in cls.lineage()
        for base in one.node.bases
    )


def _ungated(code: Code, rate: ast.expr, call: Call) -> Iterator[_Found]:
    """Yields the expressions, here or in a caller, that give the rate in both modes."""
    if code.gated(call.node) or code.depends_on_training(rate) or _is_zero_there(code, rate, call):
        return
    source = _source(code, rate)
    if source is None:
        return
    if isinstance(source, ast.arg):
        owner = _owner(code, source, call.function)
        if owner is not None:
            yield from _from_callers(code, owner, source.arg)
    else:
        yield rate, code.text_of(source)


def _is_zero_there(code: Code, rate: ast.expr, call: Call) -> bool:
    """Whether the call is made only if the rate is 0: `if self.p == 0.0`, or a name for it."""
    node: ast.AST = call.node
    for parent in code.parents(call.node):
        if isinstance(parent, ast.If) and code.is_in(node, parent, "body"):
            test = parent.test
            values = code.assigned(test) if isinstance(test, (ast.Name, ast.Attribute)) else [test]
            if len(values) == 1 and _says_zero(code, rate, values[0]):
                return True
        node = parent
    return False


def _says_zero(code: Code, rate: ast.expr, test: ast.expr | None) -> bool:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return code.text_of(test.operand) == code.text_of(rate)
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.ops[0], ast.Eq)
        and len(test.ops) == 1
        and code.text_of(test.left) == code.text_of(rate)
        and code.value(test.comparators[0]) == 0
    )


def _from_callers(code: Code, function: Function, parameter: str) -> Iterator[_Found]:
    for call in function.callers:
        in_step = call.function is not None and call.function.is_step
        if not in_step or code.gated(call.node) or code.is_deliberate(call.node):
            continue
        given = function.given(call, parameter)
        if given is None or given is UNKNOWN:
            continue
        assert isinstance(given, ast.expr)
        if given is function.defaults.get(parameter) or code.depends_on_training(given):
            continue
        source = _source(code, given)
        if source is not None and not isinstance(source, ast.arg):
            yield given, code.text_of(source)


def _source(code: Code, rate: ast.expr) -> ast.expr | ast.arg | None:
    """Returns the constant, attribute or parameter that a rate comes from; None if unknown."""
    waiting = [rate]
    seen: set[object] = set()
    while waiting and len(seen) < _MOST:
        one = waiting.pop()
        key = code.bound(one) if isinstance(one, ast.Name) else one
        if key in seen or code.value(one) in (0, None):
            continue
        seen.add(key)
        if isinstance(one, ast.Constant):
            if isinstance(one.value, (int, float)):
                return one
        elif isinstance(one, ast.Attribute):
            return one
        elif isinstance(one, ast.BoolOp) and isinstance(one.op, ast.Or):
            waiting.append(one.values[0])
        elif isinstance(one, ast.IfExp):
            waiting += [one.orelse, one.body]
        elif isinstance(one, ast.Call) and isinstance(one.func, ast.Name):
            waiting += one.args[:1] if one.func.id == "float" else []
        elif isinstance(one, ast.Name):
            bindings = code.bindings(one)
            if len(bindings) == 1 and isinstance(bindings[0].node, ast.arg):
                return bindings[0].node
            values = [value for value in code.assigned(one) if value is not None]
            if len(values) == len(code.assigned(one)):
                waiting += reversed(values)
    return None


def _owner(code: Code, parameter: ast.arg, function: Function | None) -> Function | None:
    """Returns the function, this one or one around it, that has the parameter."""
    while function is not None:
        if parameter in function.parameters:
            return function
        function = code.function_of(function.node)
    return None
