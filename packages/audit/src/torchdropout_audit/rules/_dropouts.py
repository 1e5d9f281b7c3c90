"""Questions of several rules: what builds a dropout, what a rate is, what is meant to fail."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import TypeGuard

from ..code import FURTHER_RATES, MODULES, OTHER_MODULES, RATES, Call, Class, Code, Function, words
from ..code.nodes import of_self, said_of
from ._rule import kept

BUILDERS = frozenset((*MODULES, *OTHER_MODULES))
"""The names of classes of dropout modules."""

MOVES = frozenset(("eval", "to", "cuda", "cpu", "half", "float", "bfloat16", "double"))
_LAYER = re.compile(r"torch\.nn\.[A-Z]\w*")
_PLAIN = frozenset(("torch.nn.Module", "torch.nn.Parameter", "torch.nn.Identity"))
_ROOTS = re.compile(r"forward|__call__|\w+_step")
_REFUSALS = re.compile(r"(?i)^(?:assert_?)?(?:raises|warns)|^suppress$")


def one_line(code: Code, node: ast.AST) -> str:
    """Returns the text of a node in one line, for a message."""
    return " ".join(code.text_of(node).split())


def rates(code: Code) -> Iterator[tuple[Call, str, ast.expr]]:
    """Yields the drop rates that calls are given, each with its call and its parameter."""
    bound = set()
    for call in code.calls:
        name = call.name or ""
        if name not in RATES:
            continue
        for parameter in (RATES[name], *FURTHER_RATES.get(name, ())):
            given = call.argument(parameter)
            if isinstance(given, ast.expr) and given not in bound:
                bound.add(given)  # by a dict, for several calls
                yield call, parameter, given


def unmoved(expr: ast.expr) -> ast.expr:
    """Returns `model` for `model.to(device)`."""
    while (
        isinstance(expr, ast.Call)
        and isinstance(expr.func, ast.Attribute)
        and expr.func.attr in MOVES
    ):
        expr = expr.func.value
    return expr


def builds(code: Code, expr: ast.expr | None) -> bool:
    """Whether an expression builds a dropout: `nn.Dropout(p)`, or a `Sequential` that holds one."""
    expr = None if expr is None else unmoved(expr)
    if not isinstance(expr, ast.Call):
        return False
    name = code.name(expr.func)
    if name == "torch.nn.Sequential":
        return any(builds(code, argument) for argument in expr.args)
    return name in BUILDERS


@kept
def sets_later(code: Code, attributes: Sequence[str]) -> bool:
    """Whether a file sets attributes of modules after they are built: `self.drop.p = rate`."""
    return any(
        node.attr in attributes and isinstance(node.ctx, ast.Store) and not of_self(node)
        for node in code.inside(code.tree, ast.Attribute)
    )


def whole(code: Code, node: ast.expr) -> ast.expr:
    """Returns the expression of the whole module: with `.to(device)`, with its `Sequential`."""
    for parent in code.parents(node):
        if isinstance(parent, ast.IfExp):
            node = parent
        elif isinstance(parent, ast.Call) and node in parent.args:
            if code.name(parent.func) != "torch.nn.Sequential":
                break
            node = parent
        elif isinstance(parent, ast.Attribute) and parent.attr in MOVES:
            continue  # its call is next
        elif (
            isinstance(parent, ast.Call)
            and isinstance(parent.func, ast.Attribute)
            and parent.func.value is node
        ):
            node = parent
        else:
            break
    return node


def called(code: Code, module: ast.expr) -> ast.Call | None:
    """Returns the call of a module, or of its `forward`; None for any other use."""
    parents = code.parents(module)
    parent = next(parents)
    if isinstance(parent, ast.Attribute) and parent.attr == "forward":
        module, parent = parent, next(parents)
    return parent if isinstance(parent, ast.Call) and parent.func is module else None


def around(code: Code, function: Function | None) -> list[Function]:
    """Returns a function and those that contain it, innermost first."""
    found = []
    while function is not None:
        found.append(function)
        function = code.function_of(function.node)
    return found


def is_step(code: Code, function: Function | None, rate: ast.AST | None = None) -> bool:
    """Whether a function runs at each step, in evaluation too.

    True for a `forward`, for what it calls outside of tests of training, and for a nested function
    that it passes on, for example to `checkpoint`. A call that gives a parameter in `rate` a value
    that depends on training counts as a test of training.
    """
    nodes = () if rate is None else ast.walk(rate)
    names = frozenset(node.id for node in nodes if isinstance(node, ast.Name))
    return function is not None and _is_step(code, function, names)


@kept
def _is_step(code: Code, function: Function, rate: frozenset[str]) -> bool:
    seen = {function}
    waiting = [(function, rate & function.names)]
    while waiting:
        one, given = waiting.pop()
        if one.is_step and _ROOTS.fullmatch(one.name):
            return True
        new = set(_run_by(code, one, given)) - seen
        seen |= new
        waiting += [(each, frozenset()) for each in new]
    return False


def _run_by(code: Code, function: Function, rate: frozenset[str]) -> Iterator[Function]:
    """Yields the functions that call a function, or pass it on, outside tests of training."""
    for call in function.callers:
        if call.function is None or code.gated(call.node):
            continue
        given = [function.given(call, name) for name in rate]
        if not any(isinstance(g, ast.expr) and code.depends_on_training(g) for g in given):
            yield call.function
    outer = None if function.callers else code.function_of(function.node)
    for node in code.names_in(outer.node).get(function.name, ()) if outer else ():
        holder = None if code.gated(node) else code.function_of(node)
        if holder is not None:
            yield holder


def is_refused(code: Code, node: ast.AST) -> bool:
    """Whether a call is expected to raise or to warn: `pytest.raises`, `assertWarns`, `try`."""
    for parent in code.parents(node):
        if isinstance(parent, ast.Try) and parent.handlers and code.is_in(node, parent, "body"):
            return True
        is_with = isinstance(parent, (ast.With, ast.AsyncWith))
        calls = [item.context_expr for item in parent.items] if is_with else [parent]  # type: ignore
        if any(isinstance(e, ast.Call) and _REFUSALS.search(said_of(e.func)) for e in calls):
            return True
        node = parent
    return False


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number, and not a bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def default_of(code: Code, expr: ast.expr) -> object:
    """Returns the number that a name stands for by default; None if it is not known.

    That is a literal that it is bound to once, or the default of a parameter.
    """
    value = code.value(expr)
    if is_number(value):
        return value
    if isinstance(expr, ast.Attribute):
        values = code.assigned(expr)
        only = values[0] if len(values) == 1 else None
        return default_of(code, only) if isinstance(only, ast.Name) else None
    if not isinstance(expr, ast.Name):
        return None
    for function in around(code, code.function_of(expr)):
        if expr.id in function.names:
            value = code.value(function.defaults.get(expr.id))
            return value if is_number(value) else None
    return None


def names_dropout(name: str) -> bool:
    """Whether the name of a class says that it is a dropout.

    Example:
        >>> [names_dropout(n) for n in ("FairseqDropout", "MyDropPath", "DropoutRate", "Backdrop")]
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


def holds_layers(code: Code, cls: Class) -> bool:
    """Whether a class builds layers of torch apart from dropouts: `LinearReluDropout`.

    Args:
        code: The file.
        cls: A class of it.
    """
    return not _holding(code).isdisjoint(cls.lineage())


@kept
def _holding(code: Code) -> frozenset[Class]:
    """Returns the classes whose methods build layers that are not dropouts."""
    return frozenset(
        call.cls
        for call in code.calls
        if call.cls is not None
        and _LAYER.fullmatch(call.name or "")
        and call.name not in BUILDERS | _PLAIN
    )


@kept
def spelled(code: Code, name: str) -> str | None:
    """Returns how a file can write a qualified name without a new import: `nn.ModuleList`.

    Args:
        code: The file.
        name: The name, which begins with `torch.`.
    """
    found: dict[str, str] = {}
    for node in code.tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.setdefault(alias.name, alias.asname or alias.name)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                found.setdefault(f"{node.module}.{alias.name}", alias.asname or alias.name)
    parts = name.split(".")
    for last in range(len(parts), 0, -1):
        whole = ".".join(parts[:last])
        if whole in found:
            return ".".join((found[whole], *parts[last:]))
    return None
