"""A call of a class of another file, in words of that file: nothing that only this file knows."""

from __future__ import annotations

import ast

from ..code import UNKNOWN, Call, Class, Code
from ._constants import ByDefault, Stack, constants

_MOST_GIVEN = 30  # arguments of one call


def class_of_project(code: Code, name: str) -> tuple[Code, Class] | None:
    """Returns a Module of another file by its qualified name, with its file; None if it is none.

    Args:
        code: The file that uses it.
        name: The name.
    """
    found = code.project.find(code, name) if code.project is not None and name else None
    target = None if found is None else found.target
    if found is None or not isinstance(target, Class) or not target.is_module:
        return None
    return found.code, target


def abroad(code: Code, call: Call, stack: Stack = ()) -> Call:
    """Returns a call with its arguments as constants; what is not one is not known.

    Args:
        code: The file of the call.
        call: The call.
        stack: The Modules that are read.
    """

    def told(expr: ast.expr) -> ast.expr:
        if isinstance(expr, ast.Starred):
            return ast.Starred(_OPAQUE)
        values = constants(code).of(expr, stack)
        only = next(iter(values)) if len(values) == 1 else UNKNOWN
        is_known = only is not UNKNOWN and not isinstance(only, ByDefault)
        return ast.Constant(only) if is_known else _OPAQUE  # type: ignore[arg-type]

    given = [told(each) for each in call.node.args[:_MOST_GIVEN]]
    named = [ast.keyword(each.arg, told(each.value)) for each in call.node.keywords[:_MOST_GIVEN]]
    return Call(ast.Call(_OPAQUE, given, named), None, None, None)


_OPAQUE = ast.Set([])  # an expression of which no rule knows anything
