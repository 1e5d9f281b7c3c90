"""TD109: a dropout made by hand that does not divide by the probability to keep."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import Code, Function, words
from ._dropouts import is_step
from ._masks import Mask, masks, rest_of, says_drop
from ._rule import Hit, rule

BROKEN = """\
import torch
from torch import nn


class ChannelDropout(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        mask = torch.rand(x.shape[:2], device=x.device) > self.p
        return x * mask[..., None]
""".replace("mask[..., None]", "mask.unsqueeze(-1)")
FIXED = BROKEN.replace("mask.unsqueeze(-1)", "mask.unsqueeze(-1) / (1 - self.p)")

# What is dropped here is a symbol, an input or a part of a graph: its size says nothing.
_NOT_SCALED = frozenset(
    ("word", "words", "token", "tokens", "node", "nodes", "edge", "edges", "input", "inputs")
    + ("modal", "modality", "augment", "augmentation", "noise", "noisy", "corrupt", "corruption")
    + ("mask", "masking", "patch", "patches", "frame", "frames", "depth", "gradient", "grad")
    + (
        "feature",
        "features",
        "grid",
        "label",
        "labels",
        "sensor",
        "view",
        "views",
        "binary",
        "spike",
        "spikes",
        "connect",
    )
)


@rule(
    "TD109",
    group="functional",
    broken=BROKEN,
    fixed=FIXED,
    evidence="dlordinal#138, apex#816, theanets#123",
)
def mask_not_scaled(code: Code) -> Iterator[Hit]:
    """A dropout made by hand divides by the probability to keep.

    With rate p the layer sets a share p of the values to zero in training and none in evaluation.
    Unless the values that are kept are divided by 1 - p, the sums that the next layer sees in
    evaluation are 1 / (1 - p) times as large.

    The rule looks for a mask as `mask-always-on` does. It is an error if the values are divided by
    the probability to drop, p, in place of 1 - p: the two are equal at 0.5 only.

    It is advice if the mask is under a test of training and its values are not scaled. That is,
    nothing in the class or the function divides, is named a scale, multiplies by the probability to
    keep in evaluation, or gives the dropped places another value, as zoneout does. Dropout of
    words, nodes, features, inputs or noise is not reported: it is not scaled on purpose.

    To fix: divide by `1 - p`, or use `nn.Dropout`, which does.
    """
    if code.is_test:
        return
    divided: dict[Function, list[tuple[ast.AST, ast.expr]]] = {}
    for mask in masks(code):
        if mask.function not in divided:
            divided[mask.function] = list(_divisions(mask.function))
        divisions = divided[mask.function]
        own = _own_division(code, mask)
        by = own or (divisions[0] if len(divisions) == 1 else None)
        if by is not None and _is_dropped(code, mask, by[1]):
            yield Hit(
                by[0],
                "divided by the probability to drop: the values that are kept are divided by the "
                "probability to keep",
                "divide by 1 - p",
            )
        elif not (mask.is_scaled or mask.is_chosen) and _is_layer(code, mask):
            yield Hit(
                mask.node,
                "what this mask keeps is not divided by the probability to keep: evaluation sees "
                "larger values than training",
                "divide by 1 - p",
                severity="advice",
            )


def _own_division(code: Code, mask: Mask) -> tuple[ast.AST, ast.expr] | None:
    """Returns the division of the product with a mask: `x * mask / rate`."""
    product = mask.node
    for parent in code.parents(product):
        if not isinstance(parent, ast.BinOp) or not isinstance(parent.op, (ast.Mult, ast.Div)):
            return None
        if isinstance(parent.op, ast.Div):
            return (parent, parent.right) if parent.left is product else None
        product = parent
    return None


def _divisions(function: Function) -> Iterator[tuple[ast.AST, ast.expr]]:
    """Yields the divisions of a function, and what they divide by."""
    for node in ast.walk(function.node):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield node, node.right
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Div):
            yield node, node.value
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("div", "div_", "divide", "true_divide")
            and len(node.args) == 1
        ):
            yield node, node.args[0]


def _is_dropped(code: Code, mask: Mask, divisor: ast.expr) -> bool:
    """Whether a mask is divided by its probability to drop."""
    dropped = mask.dropped
    if isinstance(dropped, ast.BinOp):  # 1 - keep
        is_rest = isinstance(divisor, ast.BinOp) and isinstance(divisor.op, ast.Sub)
        is_rest = is_rest and code.value(divisor.left) == 1  # type: ignore[attr-defined]
        if is_rest:
            return ast.dump(divisor.right) == ast.dump(dropped.right)  # type: ignore
        values = code.assigned(dropped.right) if isinstance(dropped.right, ast.Name) else []
        dropped = rest_of(values[0]) if len(values) == 1 and values[0] is not None else None
    for _ in range(3):
        if dropped is None or not isinstance(divisor, (ast.Name, ast.Attribute)):
            return False
        if ast.dump(dropped) == ast.dump(divisor):
            return True
        values = code.assigned(dropped) if isinstance(dropped, ast.Name) else []
        only = values[0] if len(values) == 1 else None
        if isinstance(only, ast.BinOp) and isinstance(only.op, ast.Mult):
            only = only.right  # torch.ones(n) * p
        dropped = only
    return False


def _is_layer(code: Code, mask: Mask) -> bool:
    """Whether it is a dropout of activations, which training alone applies."""
    function = mask.function
    around = [function.name, function.cls.name if function.cls is not None else ""]
    if any(not _NOT_SCALED.isdisjoint(words(name)) for name in around):
        return False
    if code.is_deliberate(mask.node):
        return False
    in_module = function.cls is not None and function.cls.is_module and is_step(code, function)
    is_gated = code.gated(mask.node) or code.gated(mask.drawn)
    return is_gated and (in_module or says_drop(function.name))
