"""TD125: a flag as p."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import MODULES, Code
from ..code.nodes import said_of
from ._rule import Hit, rule

BROKEN = """\
from torch import nn

head = nn.Sequential(nn.Linear(512, 128), nn.ReLU(True), nn.Dropout(True), nn.Linear(128, 10))
"""
FIXED = BROKEN.replace("Dropout(True)", "Dropout(0.5)")


@rule("TD125", "rates", BROKEN, FIXED)
def dropout_as_flag(code: Code) -> Iterator[Hit]:
    """A dropout's p is a number, not a flag.

    It is an error to pass a bool as p to one of torch's dropout modules. It is advice if p is a
    name that stands for a flag: `inplace`, or a parameter that is annotated as a bool, or is True
    by default.

    torch accepts True as p=1 and False as p=0 without a warning: `nn.Dropout(True)` returns zeros
    in training, `nn.Dropout(False)` does nothing. Such calls are written next to `nn.ReLU(True)`,
    whose first argument is `inplace`.

    To fix: `nn.Dropout(0.5, inplace=True)`, or plain `nn.Dropout(0.5)`.

    Seen in: `nn.Dropout(True)` next to `nn.ReLU(True)` in heads of VGG and of ResNet in public
    repositories: the first argument of a ReLU is `inplace`, that of a dropout is p.
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
            said = f"p={value} is p={int(value)}: it {does}"
            yield Hit(call.node, said, "give p, then inplace=True")
        elif _is_flag(code, p):
            text = code.text_of(p)
            said = f"{text} is a flag, and the first argument of a dropout is p"
            said += ": True drops everything"
            hint = f"p, then inplace={text}" if _says_inplace(p) else "give p a number"
            yield Hit(call.node, said, hint, severity="advice")


def _says_inplace(p: ast.expr) -> bool:
    return said_of(p).lower() in ("inplace", "in_place")


def _is_flag(code: Code, p: ast.expr) -> bool:
    """Whether a name is surely a bool: by its words, or as a parameter."""
    if _says_inplace(p):
        return True
    if not isinstance(p, ast.Name):
        return False
    node = code.bound(p).only
    function = code.function_of(p)
    if not isinstance(node, ast.arg) or function is None:
        return False
    default = function.defaults.get(p.id)
    is_true = isinstance(default, ast.Constant) and default.value is True
    return is_true or getattr(node.annotation, "id", "") == "bool"
