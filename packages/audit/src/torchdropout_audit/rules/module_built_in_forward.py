"""TD111: a dropout module that is built each time it is used."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import MODULES, RNNS, UNKNOWN, Call, Code, Function, words
from ..code.scopes import FunctionNode
from ..findings import Edit, Fix
from ..reporting.findings import Severity
from ._dropouts import BUILDERS, called, is_step, one_line, whole
from ._rule import Hit, kept, rule

BROKEN = """\
from torch import nn


class Head(nn.Module):
    def forward(self, x):
        return nn.Dropout(0.5)(x)
"""
FIXED = """\
from torch import nn


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(x)
"""
_SHOWS = frozenset(("main", "demo", "example", "test", "script"))
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_MODES = frozenset(("train", "eval", "training", "apply"))
_FUNCTIONS = {
    "Dropout": "dropout",
    "Dropout1d": "dropout1d",
    "Dropout2d": "dropout2d",
    "Dropout3d": "dropout3d",
    "AlphaDropout": "alpha_dropout",
    "FeatureAlphaDropout": "feature_alpha_dropout",
}
_BUILDING = (
    "init", "build", "make", "create", "setup", "set", "reset", "get", "add", "configure", "update",
    "replace", "convert", "register", "load", "new",
)  # fmt: skip


@rule(
    "TD111",
    group="modules",
    broken=BROKEN,
    fixed=FIXED,
    evidence="ewrfcas/face_attribute_classification_pytorch#1; deepchem 2.8.0 "
    "models/torch_models/dtnn.py:141",
)
def module_built_in_forward(code: Code) -> Iterator[Hit]:
    """A dropout is built once, in `__init__`; built where it is used, it drops in eval, too.

    The rule looks in `forward`, in functions of the file that `forward` calls, and in lambdas and
    nested functions that a Module keeps. It reports `nn.Dropout(p)(x)`, `drop = nn.Dropout(p)` if
    it is then called, `self.drop = nn.Dropout(p)`, `f(x, nn.Dropout(p))` if f is a function of the
    file that calls the module, and a factory that is called each time, `self.make()(x)`. An RNN of
    several layers with a dropout counts as well. In a function outside of classes it is advice.

    It reports nothing if a test of training decides, if the mode of the new module is set, or if a
    name such as `MCDropout` says that dropout is always on.

    A new module is in training mode, whatever the mode of the model: `model.eval()` can only reach
    a module that an earlier step built. Predictions are random, without any warning.

    To fix: build the module in `__init__`, or call `F.dropout(x, p, self.training)`.
    """
    for call in code.calls:
        if call.name not in BUILDERS and not _is_rnn_that_drops(code, call):
            continue
        if code.is_deliberate(call.node):
            continue
        built = whole(code, call.node)
        if code.gated(call.node) or any(map(code.depends_on_training, _given(call.node))):
            continue
        parent, use = next(code.parents(built)), called(code, built)
        holder = _kept(code, call.node)
        if holder is not None or call.function is None:
            # It runs later, and not where it is written.
            if use is not None and isinstance(holder, ast.AST) and _has_input(holder):
                yield _hit(code, call, severity=_severity_of(code, holder))
            elif (
                isinstance(holder, ast.Lambda)
                and built is holder.body
                and _is_used_up(code, holder)
            ):
                yield _hit(code, call)
            continue
        step = is_step(code, call.function, call.node)
        if use is not None:
            if step or _is_method_with_input(call):
                yield _hit(code, call, _fix(code, call, use) if built is call.node else None)
            elif _is_helper(code, call.function):
                yield _hit(code, call, severity="advice")
        elif isinstance(parent, ast.Return) and _is_used_up(code, call.function):
            yield _hit(code, call)
        elif not step:
            if (
                isinstance(parent, ast.Assign)
                and isinstance(parent.targets[0], ast.Name)
                and _is_helper(code, call.function)
                and not _has_loop(code, call.function)
                and _is_called(code, parent.targets[0], call.function)
            ):
                yield _hit(code, call, severity="advice")
        elif isinstance(parent, ast.NamedExpr):
            if _is_called(code, parent.target, call.function):
                yield _hit(code, call)
        elif isinstance(parent, (ast.Call, ast.keyword)):
            if _is_called_by(code, built, parent):
                yield _hit(code, call)
        elif isinstance(parent, (ast.Assign, ast.AnnAssign)):
            targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
            if len(targets) != 1:
                continue
            if isinstance(targets[0], ast.Name):
                if _is_called(code, targets[0], call.function):
                    yield _hit(code, call)
            elif _is_of_self(targets[0]) and _is_rebuilt(code, parent, targets[0], call.function):
                yield _hit(code, call)


def _is_rnn_that_drops(code: Code, call: Call) -> bool:
    """Whether a call builds an RNN of several layers with a dropout between them."""
    if call.name not in RNNS:
        return False
    rate, layers = call.argument("dropout"), call.argument("num_layers")
    if not isinstance(rate, ast.expr) or not isinstance(layers, ast.expr):
        return False
    return code.value(rate) not in (0, None) and code.value(layers) != 1


def _hit(code: Code, call: Call, fix: Fix | None = None, severity: Severity | None = None) -> Hit:
    is_lambda = isinstance(_kept(code, call.node), ast.Lambda)
    where = "a lambda" if is_lambda or call.function is None else call.function.name
    return Hit(
        call.node,
        f"{one_line(code, call.node.func)} is built in {where}: a new module is in "
        "training mode, so it drops in eval too",
        fix.does if fix else "build it in __init__",
        fix,
        severity,
    )


def _kept(code: Code, node: ast.AST) -> ast.Lambda | FunctionNode | None:
    """Returns the lambda, or the nested function, around a node if something keeps it."""
    for parent in code.parents(node):
        if isinstance(parent, ast.Lambda):
            return parent if _is_stored(code, parent) else None
        if isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return parent if _is_name_stored(code, parent) else None
        if isinstance(parent, ast.ClassDef):
            return None
    return None


@kept
def _is_name_stored(code: Code, nested: FunctionNode) -> bool:
    """Whether the function around a nested one stores it."""
    outer = code.function_of(nested)
    names = () if outer is None else _loads(code).get((outer, nested.name), ())
    return any(_is_stored(code, name) for name in names)


@kept
def _loads(code: Code) -> dict[tuple[Function, str], list[ast.Name]]:
    """Returns where the functions of a file read each name."""
    found: dict[tuple[Function, str], list[ast.Name]] = {}
    for node in code.inside(code.tree, ast.Name):
        if isinstance(node.ctx, ast.Load):
            function = code.function_of(node)
            if function is not None:
                found.setdefault((function, node.id), []).append(node)
    return found


@kept
def _calls_of_lambdas(code: Code) -> dict[ast.expr, list[Call]]:
    """Returns the calls of each lambda that a name or an attribute stands for."""
    found: dict[ast.expr, list[Call]] = {}
    for call in code.calls:
        values = code.assigned(call.node.func)
        if len(values) == 1 and isinstance(values[0], ast.Lambda):
            found.setdefault(values[0], []).append(call)
    return found


def _is_stored(code: Code, node: ast.AST) -> bool:
    """Whether a function is stored: in a variable, an attribute, a container, or a module."""
    for parent in code.parents(node):
        if isinstance(parent, (ast.Assign, ast.AnnAssign)):
            return True
        if isinstance(parent, ast.Call):  # `Lambda(lambda x: ...)`, `layers.append(lambda ...)`
            func = parent.func
            name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
            if name in ("append", "add_module", "register_module", "setattr"):
                return True
            if not name[:1].isupper() and name not in ("partial", "list", "dict"):
                return False
        elif not isinstance(parent, (ast.keyword, ast.List, ast.Tuple, ast.Dict, ast.IfExp)):
            return False
    return False


def _has_input(holder: ast.Lambda | FunctionNode) -> bool:
    arguments = holder.args
    return bool(arguments.args or arguments.posonlyargs or arguments.vararg)


def _severity_of(code: Code, holder: ast.AST) -> Severity | None:
    """None, an error, if a Module keeps the function; else advice."""
    around = (parent for parent in code.parents(holder) if isinstance(parent, ast.ClassDef))
    is_module = next(around, None) in _modules(code)
    return None if is_module and not code.is_test else "advice"


@kept
def _modules(code: Code) -> frozenset[ast.AST]:
    return frozenset(cls.node for cls in code.classes if cls.is_module)


@kept
def _is_used_up(code: Code, factory: Function | ast.expr) -> bool:
    """Whether a step calls what a factory builds, at once and outside of tests of training."""
    if isinstance(factory, Function):
        calls = factory.callers
    else:
        calls = _calls_of_lambdas(code).get(factory, [])
    for call in calls:
        if code.depends_on_training(call.node) or not is_step(code, call.function):
            continue
        use, parent = called(code, call.node), next(code.parents(call.node))
        if use is not None and not code.gated(use):
            return True
        target = parent.targets[0] if isinstance(parent, ast.Assign) else None
        if isinstance(target, ast.Name) and not code.gated(call.node):
            return _is_called(code, target, call.function)
    return False


def _is_helper(code: Code, function: Function | None) -> bool:
    """Whether a function outside of classes is given an input, and may be called in eval."""
    return (
        function is not None
        and function.cls is None
        and code.class_of(function.node) is None
        and bool(function.parameters)
        and not code.is_test
        and not function.callers  # callers in the file decide
        and not _is_builder(function)
        and _SHOWS.isdisjoint(words(function.name))
    )


@kept
def _has_loop(code: Code, function: Function) -> bool:
    return any(code.inside(function.node, each) for each in _LOOPS)


def _given(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _is_builder(function: Function) -> bool:
    return function.name.strip("_").startswith(_BUILDING)


def _is_method_with_input(call: Call) -> bool:
    """Whether a call is in a method of a Module that does not set it up.

    `encode(self, x)` is called from elsewhere; a module that is built and called in one expression
    is in training mode there as well.
    """
    function = call.function
    return (
        function is not None
        and function.cls is not None
        and function.cls.is_surely_module
        and not _is_builder(function)
        and len(function.parameters) > 1
    )


def _is_called(code: Code, name: ast.Name, function: Function | None) -> bool:
    """Whether a local dropout is called as built: its mode is not set, and it is not passed on."""
    return function is not None and _uses(code, function, name.id)


def _is_called_by(code: Code, built: ast.expr, holder: ast.Call | ast.keyword) -> bool:
    """Whether a function of the file is given a dropout, which it calls."""
    call = holder if isinstance(holder, ast.Call) else next(code.parents(holder))
    function = code.local(call.func) if isinstance(call, ast.Call) else None
    if not isinstance(function, Function) or not isinstance(call, ast.Call):
        return False
    if isinstance(holder, ast.keyword):
        name = holder.arg
    else:
        place = call.args.index(built)
        is_open = any(isinstance(each, ast.Starred) for each in call.args[:place])
        places = {place: name for name, place in function.places.items()}
        name = None if is_open else places.get(place)
    return name in function.names and _uses(code, function, name)


@kept
def _uses(code: Code, function: Function, name: str) -> bool:
    is_called = False
    for node in code.names_in(function.node).get(name, ()):
        if not isinstance(node.ctx, ast.Load):
            continue
        use, parent = called(code, node), next(code.parents(node))
        if use is not None:
            is_called |= not code.gated(use)
        elif isinstance(parent, ast.Compare) or getattr(parent, "test", None) is node:
            continue  # if drop is not None
        elif not isinstance(parent, ast.Attribute) or parent.attr in _MODES:
            return False
    return is_called


def _is_of_self(target: ast.expr) -> bool:
    return (
        isinstance(target, ast.Attribute)
        and isinstance(target.value, ast.Name)
        and target.value.id == "self"
    )


def _is_rebuilt(
    code: Code, statement: ast.stmt, target: ast.expr, function: Function | None
) -> bool:
    """Whether an attribute is built at each step, and not only once."""
    assert isinstance(target, ast.Attribute)
    if function is None or function.cls is None or not function.cls.is_module:
        return False
    if _is_builder(function) or function.node.decorator_list:
        return False
    if _is_conditional(code, statement):
        return False
    is_set, attributes = _modes_set(code, function)
    return not is_set and target.attr not in attributes


@kept
def _modes_set(code: Code, function: Function) -> tuple[bool, frozenset[str]]:
    """Whether a function sets the mode of all, or runs once; and of which attributes it sets it."""
    if function.callers and all(_is_conditional(code, c.node) for c in function.callers):
        return True, frozenset()
    found = set()
    for node in code.inside(function.node, ast.Attribute):
        if node.attr in _MODES:
            held = node.value
            # `self.training` alone sets nothing; `self.eval()` does.
            if isinstance(held, ast.Attribute) and _is_of_self(held):
                found.add(held.attr)
            if isinstance(held, ast.Name) and held.id == "self" and node.attr != "training":
                return True, frozenset()
    return False, frozenset(found)


def _is_conditional(code: Code, node: ast.AST) -> bool:
    """Whether a node runs on a condition that may hold only once: any except one on a rate."""
    for parent in code.parents(node):
        if isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            return False
        test = parent.test if isinstance(parent, (ast.If, ast.While, ast.IfExp)) else None
        if isinstance(parent, (ast.Try, ast.BoolOp)):
            return True
        if test is not None and not (
            isinstance(test, ast.Compare)
            and len(test.ops) == 1
            and isinstance(test.ops[0], (ast.Gt, ast.NotEq))
            and isinstance(code.value(test.comparators[0]), (int, float))
        ):
            return True
    return False


def _fix(code: Code, call: Call, outer: ast.Call) -> Fix | None:
    """Changes `nn.Dropout(p)(x)` to `nn.functional.dropout(x, p, self.training)`."""
    if call.name not in MODULES or len(outer.args) != 1 or outer.keywords:
        return None
    if isinstance(outer.args[0], ast.Starred):
        return None
    if "#" in code.text_of(outer):
        return None  # a comment would be lost
    functional, receiver = _functional(code, call), code.receiver(outer)
    if functional is None or receiver is None or call.cls is None:
        return None
    p, inplace = call.argument("p"), call.argument("inplace")
    if p is UNKNOWN or inplace is UNKNOWN:
        return None
    rate = code.text_of(p) if isinstance(p, ast.AST) else "0.5"
    given = [code.text_of(outer.args[0]), rate, f"{receiver}.training"]
    if isinstance(inplace, ast.AST):
        given.append(f"inplace={code.text_of(inplace)}")
    assert call.name is not None
    function = _FUNCTIONS[call.name.rpartition(".")[2]]
    start, end = code.span(outer)
    edit = Edit(start, end, f"{functional}.{function}({', '.join(given)})")
    does = f"call {functional}.{function} with {receiver}.training"
    return Fix(does, (edit,), call.cls.is_surely_module)


@kept
def _imported(code: Code) -> str | None:
    for node in code.tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "torch.nn.functional" and alias.asname:
                    return alias.asname
        elif isinstance(node, ast.ImportFrom) and node.module == "torch.nn" and not node.level:
            for alias in node.names:
                if alias.name == "functional":
                    return alias.asname or alias.name
    return None


def _functional(code: Code, call: Call) -> str | None:
    """Returns a name for `torch.nn.functional` that needs no new import."""
    imported = _imported(code)
    if imported is not None:
        return imported
    func = call.node.func
    if isinstance(func, ast.Attribute) and code.name(func.value) == "torch.nn":
        return f"{code.text_of(func.value)}.functional"
    return None
