"""TD113: a dropout whose result is discarded."""

from __future__ import annotations

import ast
import math
from bisect import bisect
from collections.abc import Iterator, Mapping

from ..code import FUNCTIONAL_OFF, FUNCTIONAL_ON, Call, Code, Function
from ..findings import Edit, Fix
from ..reporting.findings import Severity
from ._dropouts import BUILDERS, is_refused, is_step, one_line
from ._layers import Layer
from ._rule import Hit, kept, rule
from ._values import values

BROKEN = """\
import torch.nn.functional as F
from torch import nn


class Head(nn.Module):
    def forward(self, x):
        F.dropout(x, 0.5, self.training)
        return x.relu()
"""
FIXED = BROKEN.replace("        F.dropout", "        x = F.dropout")
_FUNCTIONS = frozenset((*FUNCTIONAL_ON, *FUNCTIONAL_OFF, "torch.dropout"))


@rule(
    "TD113",
    group="modules",
    broken=BROKEN,
    fixed=FIXED,
    evidence="Dropout asked for and silently not applied: pytorch#184126, torchtune#996",
)
def result_unused(code: Code) -> Iterator[Hit]:
    """The result of a dropout is used.

    The rule looks for a call of a dropout that is a statement by itself,
    `F.dropout(x, p, self.training)` or `self.drop(x)`. It also looks for a result that is assigned
    to a name which is not read, or which gets another value first: `out = self.drop(x)`, then
    `out = self.fc(x)`, or the next turn of a loop. The dropout must not be in place, and the file
    must not register a forward hook, which may read the result. It is advice outside a Module.

    Dropout returns a new tensor and does not change its input. Such a line only advances the random
    generator: the model is trained without dropout.

    To fix: `x = self.drop(x)`, and read x from there on.
    """
    made = {call.node: call for call in code.calls}
    for call in code.calls:
        statement = next(code.parents(call.node))
        if call.function is None:
            continue
        lost = ""
        if isinstance(statement, ast.Assign):
            lost = _lost(code, call.function, statement)
        if not (isinstance(statement, ast.Expr) or lost):
            continue
        if _input(call) is None or not _is_out_of_place(code, call, made):
            continue
        if is_refused(code, statement):
            continue
        severity = _severity(code, call)
        if severity is not None:
            fix = _fix(code, call, statement) if isinstance(statement, ast.Expr) else None
            yield Hit(
                call.node,
                f"the result of {one_line(code, call.node.func)} is {lost or 'discarded'}: it is "
                "not in place, so nothing is dropped",
                fix.does if fix else "read the result" if lost else "assign the result",
                fix,
                severity,
            )


def _lost(code: Code, function: Function, statement: ast.Assign) -> str:
    """What becomes of a result that is never read; empty where it may be read."""
    (target, *others) = statement.targets
    if others or not isinstance(target, ast.Name) or target.id.startswith("_"):
        return ""
    name, parent = target.id, next(code.parents(statement))
    places = _places(code, function)[name]
    at = bisect(places, _end(statement), key=_end)
    if at < len(places):
        other: ast.AST = places[at]
        for each in code.parents(other):
            if each is parent:
                break
            other = each
        if isinstance(other, ast.Assign) and other.targets == [places[at]]:
            named = (n for n in code.inside(other, ast.Name) if n.id == name)
            if [*named] == other.targets and _are_beside(parent, statement, other):
                return f"given to {name}, which gets another value"
    last = _last_loads(code, function).get(name)
    if name in _outer(code, function) or (
        last is not None and not _is_lost(code, function, statement, name, last)
    ):
        return ""
    by_text = not _READERS.isdisjoint(code.names_in(function.node))
    return "" if by_text else f"given to {name}, which is not read"


def _is_lost(
    code: Code, function: Function, statement: ast.Assign, name: str, last: tuple[float, ...]
) -> bool:
    """Whether nothing reads a name after a statement, though something does before it: at `last`.

    In a loop each turn has to bind it anew: `for x in inputs: x = self.drop(x)`.
    """
    if last > _end(statement):
        return False
    loops = []
    for parent in code.parents(statement):
        if parent is function.node:
            break
        if isinstance(parent, (ast.For, ast.AsyncFor, ast.While)):
            loops.append(parent)
    if not loops:
        return True
    loop = loops[0]
    target = loop.target if isinstance(loop, ast.For) else None
    if isinstance(target, ast.Name) and target.id == name and code.is_in(statement, loop, "body"):
        return True
    places, start = _places(code, function)[name], loop.body[0]
    first = places[bisect(places, (start.lineno, start.col_offset), key=_end)]
    holder = next(code.parents(first))
    return (
        len(loops) == 1
        and isinstance(holder, ast.Assign)
        and holder is not statement
        and any(holder is each for each in loop.body)
        and not any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(holder.value))
    )


_EVERYWHERE = (math.inf,)


@kept
def _last_loads(code: Code, function: Function) -> Mapping[str, tuple[float, ...]]:
    """Where a function last reads each name; after everything else, if another function does."""
    found: dict[str, list[tuple[float, ...]]] = {}
    for name, nodes in code.names_in(function.node).items():
        for node in nodes:
            if isinstance(node.ctx, ast.Load):
                is_own = code.function_of(node) is function
                found.setdefault(name, []).append(_end(node) if is_own else _EVERYWHERE)
    return {name: max(places) for name, places in found.items()}


def _are_beside(parent: ast.AST, *statements: ast.stmt) -> bool:
    """Whether statements are in the same block of their parent."""
    blocks = (getattr(parent, field, None) for field in ("body", "orelse", "finalbody"))
    return any(isinstance(b, list) and all(s in b for s in statements) for b in blocks)


def _end(node: ast.Name | ast.stmt) -> tuple[int, int]:
    return node.end_lineno, node.end_col_offset  # type: ignore[return-value]


@kept
def _places(code: Code, function: Function) -> Mapping[str, list[ast.Name]]:
    """The names in a function, in their order."""
    named = code.names_in(function.node)
    return {name: sorted(nodes, key=_end) for name, nodes in named.items()}


@kept
def _outer(code: Code, function: Function) -> frozenset[str]:
    """The names that a function declares as those of another scope."""
    outer = code.inside(function.node, ast.Global, ast.Nonlocal)
    return frozenset(name for node in outer for name in node.names)


_READERS = frozenset(("locals", "vars", "eval", "exec"))  # which may read a name by its text


def _is_out_of_place(code: Code, call: Call, made: dict[ast.Call, Call]) -> bool:
    """Whether a call is surely a dropout, and surely not in place."""
    if call.name in _FUNCTIONS:
        return _is_false(code, call.argument("inplace"))
    func = call.node.func
    if isinstance(func, ast.Attribute) and func.attr == "forward":
        func = func.value
    builders: list[ast.expr | None] = [func] if isinstance(func, ast.Call) else code.assigned(func)
    if _is_of_list(code, func):
        layers = values(code).of(func, call.cls)
        builders = [
            each.call.node if isinstance(each, Layer) and each.call is not None else None
            for each in layers
        ]
    if not builders or _sets_inplace(code) or "forward_hook" in code.text:
        return False  # a hook may read the result
    for builder in builders:
        built = made.get(builder) if isinstance(builder, ast.Call) else None
        if built is None or built.name not in BUILDERS:
            return False
        if not _is_false(code, built.argument("inplace")):
            return False
    return True


def _is_of_list(code: Code, func: ast.expr) -> bool:
    """Whether what is called is an element: `self.drops[0]`, or the name of a loop over them."""
    if isinstance(func, ast.Subscript):
        return True
    bindings = code.bindings(func) if isinstance(func, ast.Name) else ()
    return len(bindings) == 1 and isinstance(bindings[0].node, ast.For)


@kept
def _sets_inplace(code: Code) -> bool:
    """Whether the file makes modules in place after they are built: `self.drop.inplace = True`."""
    return any(
        node.attr == "inplace"
        and isinstance(node.ctx, ast.Store)
        and not (isinstance(node.value, ast.Name) and node.value.id == "self")
        for node in code.inside(code.tree, ast.Attribute)
    )


def _input(call: Call) -> ast.expr | None:
    """Returns what the dropout is applied to."""
    if call.node.args:
        return call.node.args[0]
    return next((k.value for k in call.node.keywords if k.arg == "input"), None)


def _is_false(code: Code, argument: object) -> bool:
    if isinstance(argument, ast.expr):
        return code.value(argument) is False
    return argument is None


def _severity(code: Code, call: Call) -> Severity | None:
    """None (an error) in a Module; elsewhere advice if the input is used afterwards."""
    if call.cls is not None and call.cls.is_module and not code.is_test:
        return "error"
    if is_step(code, call.function):
        return "error"
    x = _input(call)
    if code.is_test or call.function is None or not isinstance(x, ast.Name):
        return None
    for parent in code.parents(call.node):
        if isinstance(parent, (ast.For, ast.While, ast.With)):
            return None  # timed, profiled or traced
        if parent is call.function.node:
            break
    last = _last_lines(code, call.function)
    return "advice" if last[x.id] > x.lineno else None


@kept
def _last_lines(code: Code, function: Function) -> Mapping[str, int]:
    """For each name, the last line of a function that contains it."""
    named = code.names_in(function.node)
    return {name: max(node.lineno for node in nodes) for name, nodes in named.items()}


@kept
def _assigns(code: Code, function: Function) -> frozenset[str]:
    """The names that a function itself assigns."""
    named = code.names_in(function.node)
    return frozenset(
        name
        for name, nodes in named.items()
        if any(isinstance(n.ctx, ast.Store) and code.function_of(n) is function for n in nodes)
    )


def _fix(code: Code, call: Call, statement: ast.Expr) -> Fix | None:
    """`F.dropout(x)` -> `x = F.dropout(x)`, if `x` is a local variable of the function."""
    x = _input(call)
    if not isinstance(x, ast.Name) or call.function is None:
        return None
    if x.id not in call.function.names and x.id not in _assigns(code, call.function):
        return None
    named = code.names_in(call.function.node)[x.id]
    end = _end(statement)
    if not any(isinstance(each.ctx, ast.Load) and _end(each) > end for each in named):
        return None  # it would be given to a name that is not read
    start = code.span(statement)[0]
    # The fixed program trains with dropout: intended, but a change.
    return Fix(f"assign it to {x.id}", (Edit(start, start, f"{x.id} = "),), safe=False)
