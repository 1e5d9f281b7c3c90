"""Calls of classes of other files, with arguments that do not depend on this file."""

from __future__ import annotations

import ast

from ..code import UNKNOWN, Call, Class, Code
from ._constants import ByDefault, Stack, constants

_MOST_GIVEN = 30  # arguments of one call


def class_of_project(code: Code, call: Call) -> tuple[Code, Class] | None:
    """Returns the Module of another file that a call builds, with its file; None for another call.

    Args:
        code: The file of the call.
        call: The call.
    """
    if code.project is None:
        return None
    for name in code.meant(call.node.func, call.name):
        found = code.project.find(code, name)
        if found is not None:
            cls = found.target
            return (found.code, cls) if isinstance(cls, Class) and cls.is_module else None
    return None


def abroad(code: Code, call: Call, stack: Stack = ()) -> Call:
    """Returns a call with its arguments as constants; an argument without one becomes unknown.

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
