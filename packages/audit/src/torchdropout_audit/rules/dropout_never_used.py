"""TD114: a dropout that a Module builds and nothing applies."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from ..code import FUNCTIONAL_ON, Class, Code
from ._bases import is_stub
from ._dropouts import BUILDERS, MOVES, is_local_dropout, names_dropout
from ._excuses import explained, is_kept_on_purpose
from ._rule import Hit, kept, rule
from ._uses import is_read_elsewhere, uses, using_bases

BROKEN = """\
from torch import nn


class Head(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.fc = nn.Linear(64, 10)
        self.drop = nn.Dropout(p)

    def forward(self, x):
        return self.fc(x)
"""
FIXED = BROKEN.replace("self.fc(x)", "self.fc(self.drop(x))")
_ADDS = frozenset(("add_module", "register_module"))
_ENOUGH_BELOW = 2  # subclasses in this file that show how an abstract class is used
# Their dropouts are in BUILDERS, or they are of other frameworks.
_OTHER_ROOTS = frozenset(
    ("torch", "torchdropout", "keras", "tensorflow", "tf_keras", "paddle", "mxnet", "chainer")
    + ("mindspore", "mlx", "flax", "jax", "haiku", "jittor", "oneflow", "tinygrad", "equinox")
)


@rule(
    "TD114",
    group="modules",
    severity="advice",
    broken=BROKEN,
    fixed=FIXED,
    evidence="Informer2020#97, tirex#19; timm 1.0.31 models/coat.py:121, dgl 2.1.0 "
    "nn/pytorch/glob.py:701, neuralforecast models/informer.py:90",
)
def dropout_never_used(code: Code) -> Iterator[Hit]:
    """A dropout that a Module builds is applied.

    The rule looks for an attribute that nothing in the file reads, in a Module with a `forward`. It
    is assigned a dropout or a `ModuleList` of dropouts, or `add_module` adds one by that name.

    A read counts wherever it is: in the class, its bases and its subclasses, on another object, or
    through a string with its name. Two things are not reads. A class may ask whether it has such an
    attribute (`hasattr(self, "drop")`), and the attribute may hold the rate before it holds the
    dropout (`self.drop = nn.Dropout(self.drop)`).

    A class that loops over its children to apply them is skipped. So is one that runs a method of a
    base in another file, `self.encode(x)` or `super().forward(x)`, unless the project has that
    file, and the base does not read the attribute either. A dropout is also skipped if a comment,
    on its line or on the line above, says that it is unused or kept for compatibility, or if a
    comment says why the call next to it is commented out.

    The rate is an argument, is printed with the model and tuned, and has no effect. Either the line
    that applies the dropout is missing, or the dropout is left over.

    To fix: apply it in `forward`, or remove it, together with the parameter for its rate.
    """
    yield from _in_names(code)
    made = {cls: list(_made(code, cls)) for cls in code.classes if cls.is_module}
    if not any(made.values()):
        return
    known = uses(code)
    below: dict[Class, list[Class]] = {}
    for one in code.classes:
        for base in one.lineage()[1:]:
            below.setdefault(base, []).append(one)
    for cls, dropouts in made.items():
        if not dropouts:
            continue
        bases = using_bases(code, cls)
        if bases is None:
            continue
        family = [*cls.lineage(), *below.get(cls, ())]
        forwards = [one.methods["forward"] for one in family if "forward" in one.methods]
        bodies = [each.node.body for each in forwards]
        real = [b for b in bodies if not is_stub(b) and not isinstance(b[-1], ast.Raise)]
        # An abstract class may have subclasses in other files, too, unless it has several here.
        is_abstract = not real or (len(real) < len(bodies) and len(real) < _ENOUGH_BELOW)
        for name, node in dropouts:
            if known.has(family, name) or is_kept_on_purpose(code, node):
                continue
            if any(uses(file).has([base], name) for file, base in bases):
                continue
            if is_read_elsewhere(code, family, name):
                continue
            if f"self.{name}(" in explained(code, cls.node):
                continue
            if is_abstract and (len(family) > 1 or not _is_built(code, cls)):
                continue
            yield Hit(
                node,
                f"{name} is never used: the Module builds a dropout that nothing applies",
                "apply it in forward, or remove it",
            )


@kept
def _is_built(code: Code, cls: Class) -> bool:
    """Whether the project builds a class, and no other class derives from it."""
    if code.project is None or code.defined(cls.name) is not cls:
        return False
    return bool(code.project.calls(code, cls))


def _made(code: Code, cls: Class) -> Iterator[tuple[str, ast.expr]]:
    """Returns the attributes that are assigned a dropout, and the calls that build it."""
    for name, given in cls.attributes.items():
        for each in given:
            if each.function is None or each.value is None:
                continue
            if isinstance(each.node, ast.Assign) and len(each.node.targets) > 1:
                continue  # the other name may be the one that is used
            value = each.value
            sides = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            if any(_is_dropout(code, side) for side in sides):
                yield name, value
                break
    yield from _registered(code).get(cls, ())


@kept
def _registered(code: Code) -> Mapping[Class | None, list[tuple[str, ast.expr]]]:
    """Returns what each class registers by name: `self.add_module("drop", nn.Dropout(p))`."""
    found: dict[Class | None, list[tuple[str, ast.expr]]] = {}
    for call in code.calls:
        func, args = call.node.func, call.node.args
        if not isinstance(func, ast.Attribute) or func.attr not in _ADDS or len(args) != 2:
            continue
        is_own = isinstance(func.value, ast.Name) and func.value.id == "self"
        name = args[0].value if isinstance(args[0], ast.Constant) else None
        if not is_own or not isinstance(name, str) or not _is_dropout(code, args[1]):
            continue
        if call.cls is not None and not code.is_sequential(call.cls):
            found.setdefault(call.cls, []).append((name, args[1]))
    return found


def _in_names(code: Code) -> Iterator[Hit]:
    """Yields the dropouts that a local name is given and that nothing reads."""
    for call in code.calls:
        parent = next(code.parents(call.node), None)
        target = parent.targets[0] if isinstance(parent, ast.Assign) else None
        if not isinstance(target, ast.Name) or call.function is None or code.is_test:
            continue
        if call.name not in BUILDERS or target.id.startswith("_"):
            continue
        found = code.names_in(call.function.node)[target.id]
        if target.id in _declared(code) or any(isinstance(e.ctx, ast.Load) for e in found):
            continue
        if not is_kept_on_purpose(code, call.node):
            yield Hit(
                call.node,
                f"{target.id} is never used: it is a dropout that nothing applies",
                "apply it, or remove it",
            )


@kept
def _declared(code: Code) -> frozenset[str]:
    """Returns the names that a file declares as global or nonlocal."""
    return frozenset(
        name for each in code.inside(code.tree, ast.Global, ast.Nonlocal) for name in each.names
    )


def _is_dropout(code: Code, expr: ast.expr) -> bool:
    """Whether an expression builds a dropout: torch's, one of this file, or of another library."""
    while (
        isinstance(expr, ast.Call)
        and isinstance(expr.func, ast.Attribute)
        and expr.func.attr in MOVES
    ):
        expr = expr.func.value  # nn.Dropout(p).to(device)
    if not isinstance(expr, ast.Call):
        return False
    name = code.name(expr.func) or ""
    if name == "torch.nn.ModuleList" and not expr.args:
        added = _added(code).get((code.class_of(expr), _attribute_of(code, expr)), ())
        return bool(added) and all(_is_dropout(code, each) for each in added)
    if name == "torch.nn.ModuleList" and len(expr.args) == 1:
        listed = expr.args[0]
        if isinstance(listed, ast.ListComp):
            return _is_dropout(code, listed.elt)
        elements = listed.elts if isinstance(listed, (ast.List, ast.Tuple)) else []
        return bool(elements) and all(_is_dropout(code, each) for each in elements)
    if name == "torch.nn.Sequential" and not expr.keywords:
        return bool(expr.args) and all(_is_dropout(code, each) for each in expr.args)
    last = name.rpartition(".")[2]
    is_class = last[:1].isupper() and name.partition(".")[0] not in _OTHER_ROOTS
    if not name and isinstance(expr.func, ast.Name):  # drop = nn.Dropout2d if wide else nn.Dropout
        values = code.assigned(expr.func)
        only = values[0] if len(values) == 1 else None
        if isinstance(only, ast.IfExp):
            return {code.name(only.body), code.name(only.orelse)} <= BUILDERS
    if name == "functools.partial" and expr.args:
        return code.name(expr.args[0]) in FUNCTIONAL_ON
    return name in BUILDERS or (is_class and names_dropout(last)) or is_local_dropout(code, expr)


def _attribute_of(code: Code, expr: ast.expr) -> str:
    """Returns the attribute that an expression is assigned to."""
    parent = next(code.parents(expr))
    target = parent.targets[0] if isinstance(parent, ast.Assign) else None
    return target.attr if isinstance(target, ast.Attribute) else ""


@kept
def _added(code: Code) -> Mapping[tuple[Class | None, str], list[ast.expr]]:
    """Returns what is appended to each list of each class."""
    found: dict[tuple[Class | None, str], list[ast.expr]] = {}
    for call in code.calls:
        func = call.node.func
        listed = func.value if isinstance(func, ast.Attribute) else None
        if isinstance(listed, ast.Attribute) and func.attr in ("append", "extend"):  # type: ignore
            found.setdefault((call.cls, listed.attr), []).extend(call.node.args)
    return found
