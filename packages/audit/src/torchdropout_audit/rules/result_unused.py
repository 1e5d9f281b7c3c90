"""TD113: a dropout whose result is discarded."""

from __future__ import annotations

import ast
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from ..code import FUNCTIONAL_OFF, FUNCTIONAL_ON, Call, Code, Function, argument_of
from ..findings import Edit, Fix
from ..reporting.findings import Severity
from ._dropouts import BUILDERS, is_refused, is_step, one_line, sets_later
from ._layers import calls
from ._rule import Hit, kept, rule

BROKEN = """\
import torch.nn.functional as F
from torch import nn


class Head(nn.Module):
    def forward(self, x):
        F.dropout(x, 0.5, self.training)
        return x.relu()
"""
FIXED = BROKEN.replace("        F.dropout", "        x = F.dropout")
_READERS = frozenset(("locals", "vars", "eval", "exec"))  # which may read a name by its text
_FUNCTIONS = frozenset((*FUNCTIONAL_ON, *FUNCTIONAL_OFF, "torch.dropout"))


@rule("TD113", "modules", BROKEN, FIXED)
def result_unused(code: Code) -> Iterator[Hit]:
    """The result of a dropout is used.

    The rule looks for a call of a dropout that is a statement by itself, `F.dropout(x, p,
    self.training)` or `self.drop(x)`, and for a result that is assigned to a name which is not
    read, or which gets another value first. The dropout must not be in place, and the file must not
    register a forward hook, which may read the result. It is advice outside a Module.

    Dropout returns a new tensor and does not change its input: the model is trained without
    dropout.

    To fix: `x = self.drop(x)`, and read x from there on.

    Seen in: Dropout asked for and silently not applied: pytorch#184126, torchtune#996
    """
    for call in code.calls:
        statement, function = next(code.parents(call.node)), call.function
        if function is None or not isinstance(statement, (ast.Expr, ast.Assign)):
            continue
        is_bound = isinstance(statement, ast.Assign)
        lost = _lost(code, function, statement) if is_bound else "discarded"  # type: ignore
        if not lost or _input(call) is None or not _is_out_of_place(code, call):
            continue
        severity = None if is_refused(code, statement) else _severity(code, call, function)
        if severity is not None:
            fix = None if is_bound else _fix(code, call, function, statement)
            said = f"the result of {one_line(code, call.node.func)} is {lost}"
            said += ": it is not in place, so nothing is dropped"
            hint = fix.does if fix else "read the result" if is_bound else "assign the result"
            yield Hit(call.node, said, hint, fix, severity)


def _lost(code: Code, function: Function, statement: ast.Assign) -> str:
    """Returns what becomes of a result that is never read; empty where it may be read."""
    target = statement.targets[0]
    if not isinstance(target, ast.Name) or target.id.startswith("_") or statement.targets[1:]:
        return ""
    name, named = target.id, code.names_in(function.node)
    uses = _uses(code, function, name)
    later = uses.places[bisect_right(uses.places, _end(statement), key=_end) :][:1]
    given = next(code.parents(later[0])) if later else None
    if isinstance(given, ast.Assign) and given.targets == later:
        parent = next(code.parents(statement))
        blocks = [getattr(parent, field, ()) for field in ("body", "orelse", "finalbody")]
        is_beside = any(given in block and statement in block for block in blocks)
        if is_beside and not any(getattr(e, "id", "") == name for e in ast.walk(given.value)):
            return f"given to {name}, which gets another value"
    outer = code.inside(function.node, ast.Global, ast.Nonlocal)
    if any(name in each.names for each in outer) or not _READERS.isdisjoint(named):
        return ""
    since = _end(statement)
    if uses.is_read_within or (uses.last_read or since) > since:
        return ""
    for parent in code.parents(statement):
        if parent is function.node:
            break
        if isinstance(parent, (ast.For, ast.AsyncFor, ast.While)):
            since = (parent.lineno, 0)  # what comes before it may be in the next turn
    return "" if (uses.last_read or since) > since else f"given to {name}, which is not read"


class _Uses(NamedTuple):
    """The uses of a name in a function, in order: made once, as a name may have thousands."""

    places: list[ast.Name]
    last_read: tuple[int, int] | None
    is_read_within: bool  # in a function of its own
    is_set: bool  # in this function itself


@kept
def _uses(code: Code, function: Function, name: str) -> _Uses:
    places = sorted(code.names_in(function.node)[name], key=_end)
    reads = [each for each in places if isinstance(each.ctx, ast.Load)]
    within = any(code.function_of(each) is not function for each in reads)
    stores = (each for each in places if isinstance(each.ctx, ast.Store))
    is_set = any(code.function_of(each) is function for each in stores)
    return _Uses(places, _end(reads[-1]) if reads else None, within, is_set)


def _end(node: ast.AST) -> tuple[int, int]:
    return node.end_lineno, node.end_col_offset  # type: ignore[attr-defined]


def _is_out_of_place(code: Code, call: Call) -> bool:
    """Whether a call is surely a dropout, and surely not in place."""
    if call.name in _FUNCTIONS:
        return _is_false(code, call.argument("inplace"))
    func = call.node.func
    if isinstance(func, ast.Attribute) and func.attr == "forward":
        func = func.value
    made: list[ast.expr | None] = [func] if isinstance(func, ast.Call) else code.assigned(func)
    built = [calls(code).get(each) for each in made]
    if not built or sets_later(code, ("inplace",)) or "forward_hook" in code.text:
        return False  # a hook may read the result
    return all(
        each is not None and each.name in BUILDERS and _is_false(code, each.argument("inplace"))
        for each in built
    )


def _input(call: Call) -> object:
    """Returns what the dropout is applied to."""
    return argument_of(call.node, "input", 0)


def _is_false(code: Code, argument: object) -> bool:
    return argument is None or code.value(argument) is False


def _severity(code: Code, call: Call, function: Function) -> Severity | None:
    """An error in a Module; elsewhere advice if the input is used afterwards, else None."""
    is_of_module = call.cls is not None and call.cls.is_module and not code.place.is_test
    if is_of_module or is_step(code, function):
        return "error"
    x = _input(call)
    if code.place.is_test or not isinstance(x, ast.Name):
        return None
    for parent in code.parents(call.node):
        if isinstance(parent, (ast.For, ast.While, ast.With)):
            return None  # timed, profiled or traced
    used = _uses(code, function, x.id).places
    return "advice" if used[-1].lineno > x.lineno else None


def _fix(code: Code, call: Call, function: Function, statement: ast.stmt) -> Fix | None:
    """`F.dropout(x)` -> `x = F.dropout(x)`, if `x` is a local variable of the function."""
    x = _input(call)
    if not isinstance(x, ast.Name):
        return None
    uses = _uses(code, function, x.id)
    if x.id not in function.names and not uses.is_set:
        return None
    if (uses.last_read or _end(statement)) <= _end(statement):
        return None  # it would be given to a name that is not read
    start = code.span(statement)[0]
    # The fixed program trains with dropout: intended, but a change.
    return Fix(f"assign it to {x.id}", (Edit(start, start, f"{x.id} = "),), safe=False)
