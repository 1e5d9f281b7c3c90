"""TD125: a flag as p."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import MODULES, Code, Function, words
from ._dropouts import is_number
from ._rule import Hit, rule

BROKEN = """\
from torch import nn

head = nn.Sequential(nn.Linear(512, 128), nn.ReLU(True), nn.Dropout(True), nn.Linear(128, 10))
"""
FIXED = """\
from torch import nn

head = nn.Sequential(nn.Linear(512, 128), nn.ReLU(True), nn.Dropout(0.5), nn.Linear(128, 10))
"""

# Words of what is a flag in any case.
_FLAGS = frozenset(("use", "with", "is", "has", "enable", "do", "add", "apply", "flag"))


@rule(
    "TD125",
    group="rates",
    broken=BROKEN,
    fixed=FIXED,
    evidence="`nn.Dropout(True)` next to `nn.ReLU(True)` in heads of VGG and of ResNet in public "
    "repositories: the first argument of a ReLU is `inplace`, that of a dropout is p.",
)
def dropout_as_flag(code: Code) -> Iterator[Hit]:
    """A dropout's p is a number, not a flag.

    It is an error to pass a bool as p to one of torch's dropout modules. It is advice if p is a
    name that stands for a flag: `inplace`, or a parameter whose default or annotation is a bool. A
    parameter that is False by default may be a rate where the layer is built only if it is true, or
    where the file passes it a number.

    torch accepts True as p=1 and False as p=0 without a warning: `nn.Dropout(True)` returns zeros
    in training, `nn.Dropout(False)` does nothing. Such calls are written next to `nn.ReLU(True)`,
    whose first argument is `inplace`.

    To fix: `nn.Dropout(0.5, inplace=True)`, or plain `nn.Dropout(0.5)`.
    """
    for call in code.calls:
        if call.name not in MODULES and not (call.name or "").startswith("torchdropout.nn."):
            continue
        p = call.argument("p")
        if not isinstance(p, ast.expr):
            continue
        value = code.value(p)
        if isinstance(value, bool):
            does = "drops everything in training" if value else "drops nothing"
            yield Hit(
                call.node, f"p={value} is p={int(value)}: it {does}", "give p, then inplace=True"
            )
        elif _is_flag(code, p):
            yield Hit(
                call.node,
                f"{code.text_of(p)} is a flag, and the first argument of a dropout is p: True "
                "drops everything",
                f"p, then inplace={code.text_of(p)}" if _says_inplace(p) else "give p a number",
                severity="advice",
            )


def _says_inplace(p: ast.expr) -> bool:
    name = p.attr if isinstance(p, ast.Attribute) else p.id if isinstance(p, ast.Name) else ""
    return name.lower() in ("inplace", "in_place")


def _is_flag(code: Code, p: ast.expr) -> bool:
    """Whether a name is surely a bool: by its words, or as a parameter."""
    if _says_inplace(p):
        return True
    if not isinstance(p, ast.Name):
        return False
    bindings = code.bindings(p)
    if len(bindings) != 1 or bindings[0].kind != "parameter":
        return False
    node = bindings[0].node
    annotation = node.annotation if isinstance(node, ast.arg) else None
    if isinstance(annotation, ast.Name) and annotation.id == "bool":
        return True
    function = code.function_of(p)
    default = function.defaults.get(p.id) if function is not None else None
    if annotation is not None or not isinstance(default, ast.Constant) or function is None:
        return False
    if default.value is False and _FLAGS.isdisjoint(words(p.id)):
        return not _guards(code, p) and not _is_given_number(code, function, p.id)
    return isinstance(default.value, bool)


def _guards(code: Code, p: ast.Name) -> bool:
    """Whether the layer is built only where the parameter is true: False or a rate."""
    child: ast.AST = p
    for parent in code.parents(p):
        if isinstance(parent, (ast.If, ast.IfExp)):
            tests = parent.test.values if isinstance(parent.test, ast.BoolOp) else [parent.test]
            is_asked = any(isinstance(each, ast.Name) and each.id == p.id for each in tests)
            is_other = isinstance(parent, ast.If) and not code.is_in(child, parent, "body")
            if is_asked and not is_other and child is not getattr(parent, "orelse", None):
                return True
        child = parent
    return False


def _is_given_number(code: Code, function: Function, name: str) -> bool:
    """Whether a call of the file gives a parameter a number."""
    calls = [*function.callers]
    if function.name == "__init__" and function.cls is not None:
        calls += [each for each in code.calls if code.local(each.node.func) is function.cls]
    given = (function.given(each, name) for each in calls)
    return any(isinstance(each, ast.expr) and is_number(code.value(each)) for each in given)
