"""TD103: a training flag as p, `F.dropout(x, self.training)`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import FUNCTIONAL_OFF, FUNCTIONAL_ON, Code
from ..findings import Edit, Fix
from ._rule import Hit, rule

BROKEN = """\
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def forward(self, x):
        return F.dropout(x, self.training)
"""
FIXED = BROKEN.replace("x, self", "x, training=self")

_FLAGS = frozenset(("training", "is_training", "is_train", "training_mode"))


@rule("TD103", "functional", BROKEN, FIXED)
def training_passed_as_p(code: Code) -> Iterator[Hit]:
    """A dropout's p is a probability, not the training flag.

    The second parameter of `F.dropout` is p: `F.dropout(x, self.training)` drops everything in
    training, as True is 1, and nothing in evaluation. It raises no error.

    To fix: `F.dropout(x, p, self.training)`. The fix names the argument, and leaves p at its
    default of 0.5, which may not be what was meant: only `--unsafe-fixes` applies it.

    Seen in: torch's signature: the second parameter of `F.dropout` is p
    """
    for call in code.calls:
        if call.name not in FUNCTIONAL_ON and call.name not in FUNCTIONAL_OFF:
            continue
        p = call.argument("p")
        if not isinstance(p, ast.expr) or not _is_flag(code, p):
            continue
        said = f"{code.text_of(p)} is passed as p: True drops everything, False nothing"
        fix = None
        if call.argument("training") is None and p in call.node.args:
            start = code.span(p)[0]
            fix = Fix("name it training=", (Edit(start, start, "training="),), safe=False)
        yield Hit(p, said, "give p, then training", fix)


def _is_flag(code: Code, p: ast.expr) -> bool:
    """Whether an expression is a bool: by its name, its annotation, its default or its operator."""
    if isinstance(p, ast.UnaryOp):
        return isinstance(p.op, ast.Not)
    if isinstance(p, ast.Attribute):
        return p.attr in _FLAGS
    if not isinstance(p, ast.Name):
        return False
    if p.id in _FLAGS:
        return True
    bindings, function = code.bindings(p), code.function_of(p)
    if len(bindings) != 1 or function is None or not isinstance(bindings[0].node, ast.arg):
        return False
    parameter = bindings[0].node
    default = function.defaults.get(parameter.arg) if parameter in function.parameters else None
    is_annotated = getattr(parameter.annotation, "id", "") == "bool"
    return is_annotated or isinstance(code.value(default), bool)
