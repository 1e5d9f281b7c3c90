"""Which of the values that a name or an attribute is assigned it surely has at one place."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..code import Class, Code, Function
from ._rule import kept

_MOST_ASSIGNED = 20  # of one name or attribute
_DEEPEST = 5  # names that stand for names
_BLOCKS = ("body", "orelse", "finalbody")
_LATER = (ast.Lambda, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class _Given:
    """What one statement assigns; the value is None if it is not written down."""

    node: ast.AST
    value: ast.expr | None
    function: Function | None


def reaching(code: Code, expr: ast.expr) -> ast.expr | None:
    """Returns the expression whose value a name or an attribute of `self` has where it is read.

    Within a function that is what the last statement before it assigns, if no branch decides
    whether that runs; in another method, what `__init__` assigns last.

    Args:
        code: The file.
        expr: A name, an attribute, or any other expression, which is returned.

    Returns:
        The expression; None if it is not surely known.
    """
    found: ast.expr | None = expr
    for _ in range(_DEEPEST):
        if not isinstance(found, (ast.Name, ast.Attribute)):
            return found
        found = _once(code, found)
    return None


def _once(code: Code, expr: ast.Name | ast.Attribute) -> ast.expr | None:
    given = _given(code, expr)
    here = code.function_of(expr)
    if here is None or len(given) >= _MOST_ASSIGNED:
        return None
    functions = {each.function for each in given} - {None}
    if len(functions) != 1:  # one method may run before the other
        return None
    start = _start(expr)
    if here in functions:
        # What the assignment of a value around it assigns comes later.
        around = {e for e in code.parents(expr) if isinstance(e, (ast.Assign, ast.AnnAssign))}
        before = [e for e in given if _start(e.node) < start and e.node not in around]
        return _last(code, before, expr)
    init = functions.pop()
    if not isinstance(expr, ast.Attribute) or init is None or init.name != "__init__":
        return None
    return _last(code, given, init.node)


def _last(code: Code, given: Sequence[_Given], place: ast.AST) -> ast.expr | None:
    """Returns what the last of some statements assigns, if it runs whenever a place is reached."""
    last = max(given, key=lambda each: _start(each.node), default=None)
    if last is None:
        return None
    holder = next(code.parents(last.node))
    if place is holder:  # the end of the function
        return last.value
    for parent in code.parents(place):
        if parent is holder:
            alike = [
                code.is_in(last.node, holder, block) and code.is_in(place, holder, block)
                for block in _BLOCKS
            ]
            return last.value if any(alike) else None
        if isinstance(parent, _LATER):
            return None  # it is read when that is called
        place = parent
    return None


def _given(code: Code, expr: ast.Name | ast.Attribute) -> list[_Given]:
    """Returns all that assigns a name of a function, or an attribute of a class or subclass."""
    if isinstance(expr, ast.Attribute):
        cls = code.class_of(expr)
        if cls is None or not isinstance(expr.value, ast.Name) or expr.value.id != "self":
            return []
        if cls.method(expr.attr) is not None:
            return []
        own = [_Given(each.node, each.value, each.function) for each in cls.assigned(expr.attr)]
        return [*dict.fromkeys((*own, *_below(code).get((cls, expr.attr), ())))]
    found: list[_Given] = []
    for binding in code.bindings(expr)[:_MOST_ASSIGNED]:
        if binding.kind == "parameter":
            continue  # what comes first
        value = binding.node if isinstance(binding.node, ast.expr) else None
        holders = (each for each in code.parents(binding.node) if isinstance(each, ast.stmt))
        statement = next(holders, binding.node) if value is not None else binding.node
        is_plain = binding.kind == "value" and isinstance(statement, (ast.Assign, ast.AnnAssign))
        function = code.function_of(binding.node)
        found.append(_Given(statement, value if is_plain else None, function))
    return found


@kept
def _below(code: Code) -> Mapping[tuple[Class, str], list[_Given]]:
    """Returns what subclasses assign to the attributes of each class."""
    found: dict[tuple[Class, str], list[_Given]] = {}
    for cls in code.classes:
        for name, given in cls.attributes.items():
            for one in cls.lineage():
                known = found.setdefault((one, name), [])
                if len(known) <= _MOST_ASSIGNED:
                    known += [
                        _Given(each.node, each.value, each.function)
                        for each in given[:_MOST_ASSIGNED]
                    ]
    return found


def _start(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)
