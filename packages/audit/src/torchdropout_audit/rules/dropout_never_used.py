"""TD114: a dropout that a Module builds and nothing applies."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import Class, Code
from ._bases import below, is_abstract
from ._dropouts import BUILDERS, is_local_dropout, names_dropout
from ._excuses import is_kept_on_purpose, is_left_out
from ._rule import Hit, rule
from ._uses import is_used_elsewhere, uses

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
# Their dropouts are in BUILDERS, or they are of other frameworks.
_OTHER_ROOTS = frozenset(
    ("torch", "torchdropout", "keras", "tensorflow", "tf_keras", "paddle", "mxnet", "chainer")
    + ("mindspore", "mlx", "flax", "jax", "haiku", "jittor", "oneflow", "tinygrad", "equinox")
)


@rule("TD114", "modules", BROKEN, FIXED, severity="advice")
def dropout_never_used(code: Code) -> Iterator[Hit]:
    """A dropout that a Module builds is applied.

    The rule looks for an attribute that nothing in the file reads, in a Module with a `forward`. It
    is assigned a dropout or a `ModuleList` of dropouts. A read counts wherever it is: in the class,
    its bases and its subclasses, on another object, or by its name (`getattr(self, "drop")`), but
    not a question whether there is such an attribute (`if self.drop is not None`).

    A class that loops over its children or gives itself to a function is skipped. So is one that
    runs a method of a base in another file, unless the project has that file, and the base does not
    read the attribute either. A dropout is also skipped if a comment, on its line or on the line
    above, says that it is unused or kept for compatibility, or if its call is commented out below a
    comment in words.

    The rate is an argument, is printed with the model and tuned, and has no effect.

    To fix: apply it in `forward`, or remove it, together with the parameter for its rate.

    Seen in: Informer2020#97, tirex#19; timm 1.0.31 models/coat.py:121, dgl 2.1.0
    nn/pytorch/glob.py:701, neuralforecast models/informer.py:90
    """
    for cls in code.classes:
        for name, node in _made(code, cls) if cls.is_module else ():
            family = [*cls.lineage(), *below(code, cls)]
            if (
                not is_abstract(family)
                and not uses(code).applies(family, name)
                and not is_kept_on_purpose(code, node)
                and not is_left_out(code, cls.node, f"self.{name}(")
                and not is_used_elsewhere(code, family, name)
            ):
                said = f"{name} is never used: the Module builds a dropout that nothing applies"
                yield Hit(node, said, "apply it in forward, or remove it")


def _made(code: Code, cls: Class) -> Iterator[tuple[str, ast.expr]]:
    """Yields the attributes that are assigned a dropout, and the expressions that build it."""
    for name, given in cls.attributes.items():
        for each in given:
            if isinstance(each.node, ast.Assign) and len(each.node.targets) > 1:
                continue  # the other name may be the one that is used
            value = each.value
            sides = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            if value is not None and any(_is_dropout(code, side) for side in sides):
                yield name, value
                break


def _is_dropout(code: Code, expr: ast.expr | None) -> bool:
    """Whether an expression builds a dropout: torch's, one of this file, or of another library."""
    if not isinstance(expr, ast.Call):
        return False
    name = code.name(expr.func) or ""
    if name == "torch.nn.ModuleList" and len(expr.args) == 1:
        listed = expr.args[0]
        if isinstance(listed, ast.ListComp):
            return _is_dropout(code, listed.elt)
        elements = listed.elts if isinstance(listed, ast.List) else []
        return bool(elements) and all(_is_dropout(code, each) for each in elements)
    root, last = name.partition(".")[0], name.rpartition(".")[2]
    is_named = last[:1].isupper() and root not in _OTHER_ROOTS and names_dropout(last)
    return name in BUILDERS or is_named or is_local_dropout(code, expr)
