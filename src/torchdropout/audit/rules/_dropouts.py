"""What several rules ask of a source: which calls build a dropout, and which are not meant to work."""

from __future__ import annotations

import ast
import re
from pathlib import PurePath

from ..code import MODULES, OTHER_MODULES, Class, Code, Function, words

BUILDERS = frozenset((*MODULES, *OTHER_MODULES))
"""What builds a dropout module."""

_MOVES = frozenset(("to", "cuda", "cpu", "float", "half", "bfloat16", "double"))
_REFUSALS = re.compile(r"(?i)(?:^|_|\.)(?:assert_?)?raises|^warns$|suppress$")


def builds(code: Code, expr: ast.AST | None) -> bool:
    """Whether an expression builds a dropout: `nn.Dropout(p)`, or a `Sequential` that holds one."""
    while (
        isinstance(expr, ast.Call)
        and isinstance(expr.func, ast.Attribute)
        and expr.func.attr in _MOVES
        and isinstance(expr.func.value, ast.Call)
    ):
        expr = expr.func.value
    if not isinstance(expr, ast.Call):
        return False
    name = code.name(expr.func)
    if name == "torch.nn.Sequential":
        return any(builds(code, argument) for argument in expr.args)
    return name in BUILDERS


def whole(code: Code, node: ast.expr) -> ast.expr:
    """The expression whose value is a module built here: with `.to(device)`, in its `Sequential`."""
    for parent in code.parents(node):
        if isinstance(parent, ast.Attribute):
            if parent.attr not in _MOVES:
                break
        elif isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute):
            is_moved = parent.func.value is node
            if not is_moved and code.name(parent.func) != "torch.nn.Sequential":
                break
            if not is_moved and node not in parent.args:
                break
            node = parent
        elif isinstance(parent, ast.Call):
            if code.name(parent.func) != "torch.nn.Sequential" or node not in parent.args:
                break
            node = parent
        elif isinstance(parent, ast.IfExp) and node is not parent.test:
            node = parent
        else:
            break
    return node


def around(code: Code, function: Function | None) -> list[Function]:
    """A function and those that it is nested in, innermost first."""
    found = []
    while function is not None:
        found.append(function)
        function = code.function_of(function.node)
    return found


def is_step(code: Code, function: Function | None) -> bool:
    """Whether a function, or one that it is nested in, runs at each step in evaluation too."""
    return any(f.is_step and f.name != "training_step" for f in around(code, function))


def is_test(path: str) -> bool:
    """Whether a path is that of a test.

    Example:
        >>> [is_test(p) for p in ("tests/nn/layers.py", "src/test_model.py", "src/latest.py")]
        [True, True, False]
    """
    parts = PurePath(path.replace("\\", "/")).parts
    name = parts[-1] if parts else ""
    return (
        name.startswith(("test_", "conftest"))
        or name.endswith(("_test.py", "_tests.py"))
        or name == "tests.py"
        or any(part in ("test", "tests", "testing") for part in parts[:-1])
    )


def is_refused(code: Code, node: ast.AST) -> bool:
    """Whether the source expects that a call raises: `pytest.raises`, `assertRaises`, `try`."""
    for parent in code.parents(node):
        if isinstance(parent, (ast.With, ast.AsyncWith)):
            calls = [item.context_expr for item in parent.items]
        elif isinstance(parent, ast.Call):
            calls = [parent]
        elif isinstance(parent, ast.Try):
            if parent.handlers and any(node is each for each in parent.body):
                return True
            calls = []
        else:
            calls = []
        for call in calls:
            func = call.func if isinstance(call, ast.Call) else call
            last = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
            if last and _REFUSALS.search(last):
                return True
        node = parent
    return False


def is_number(value: object) -> bool:
    """Whether a value is a number that was meant as one: no bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def default_of(code: Code, expr: ast.expr) -> object:
    """The number that a name stands for where nothing else is given; None where none is known.

    A literal that it is bound to once, or the default of the parameter that it is.
    """
    value = code.value(expr)
    if is_number(value):
        return value
    if isinstance(expr, ast.Attribute):
        values = code.assigned(expr)
        if len(values) == 1 and isinstance(values[0], ast.Name):
            return default_of(code, values[0])
        return None
    if not isinstance(expr, ast.Name):
        return None
    for function in around(code, code.function_of(expr)):
        if expr.id in {parameter.arg for parameter in function.parameters}:
            default = function.defaults.get(expr.id)
            value = None if default is None else code.value(default)
            return value if is_number(value) else None
    return None


def names_dropout(name: str) -> bool:
    """Whether the name of a class says that it is a dropout.

    Example:
        >>> [names_dropout(n) for n in ("FairseqDropout", "DropPath", "DropoutConfig", "Backdrop")]
        [True, True, False, False]
    """
    said = words(name)
    return said[-1:] == ("dropout",) or said[-2:] in (("drop", "path"), ("stochastic", "depth"))


def is_local_dropout(code: Code, expr: ast.expr) -> bool:
    """Whether an expression builds a dropout whose class is in this file."""
    if not isinstance(expr, ast.Call):
        return False
    cls = code.local(expr.func)
    return isinstance(cls, Class) and cls.is_surely_module and names_dropout(cls.name)
