"""TD109: a dropout made by hand that does not divide by the probability to keep."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import Code, Function, words
from ._dropouts import is_step
from ._masks import Mask, is_scaled, masks, rest_of, says_drop
from ._rule import Hit, kept, rule

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
        return x * mask.unsqueeze(-1)
"""
FIXED = BROKEN.replace("mask.unsqueeze(-1)", "mask.unsqueeze(-1) / (1 - self.p)")

_BY_DROPPED = (
    "divided by the probability to drop: the values that are kept are divided by the probability "
    "to keep"
)
_UNDIVIDED = (
    "what this mask keeps is not divided by the probability to keep: evaluation sees larger values "
    "than training"
)
# What is dropped here is a symbol, an input or a part of a graph: its size says nothing.
_NOT_SCALED = frozenset(
    ("word", "words", "token", "tokens", "node", "nodes", "edge", "edges", "input", "inputs")
    + ("feature", "features", "modal", "modality", "noise", "augment", "depth")
)


@rule("TD109", "functional", BROKEN, FIXED)
def mask_not_scaled(code: Code) -> Iterator[Hit]:
    """A dropout made by hand divides by the probability to keep.

    The rule looks for a mask as `mask-always-on` does. It is an error if the values are divided by
    the probability to drop, p, in place of 1 - p. It is advice if the mask is under a test of
    training and nothing in the class or the function divides, is named a scale, multiplies by the
    probability to keep in evaluation, or gives the dropped places another value, as zoneout does.
    Dropout of words, nodes, features, inputs or noise is not reported: it is not scaled on purpose.

    Unless the values that are kept are divided by 1 - p, the sums that the next layer sees in
    evaluation are 1 / (1 - p) times as large as in training.

    To fix: divide by `1 - p`, or use `nn.Dropout`, which does.

    Seen in: dlordinal#138, apex#816, theanets#123
    """
    if code.place.is_test:
        return
    for mask in masks(code):
        divisions = _divisions(code, mask.function)  # by what they divide by
        found = (divisions.get(ast.dump(each)) for each in _values(code, mask.dropped))
        by = next((each for each in found if each is not None), None)
        if by is not None:
            yield Hit(by, _BY_DROPPED, "divide by 1 - p")
        elif mask.is_product and _is_layer(code, mask) and not is_scaled(code, mask):
            yield Hit(mask.node, _UNDIVIDED, "divide by 1 - p", severity="advice")


@kept
def _divisions(code: Code, function: Function) -> dict[str, ast.AST]:
    """Returns the divisions of a function, by what they divide by."""
    found: dict[str, ast.AST] = {}
    by: ast.expr | None
    for node in code.inside(function.node, ast.BinOp, ast.AugAssign, ast.Call):
        if not isinstance(node, ast.Call):
            is_division = isinstance(node.op, ast.Div)
            by = node.right if isinstance(node, ast.BinOp) else node.value
        else:
            is_division = getattr(node.func, "attr", "") in ("div", "div_")
            by = node.args[0] if node.args else None
        if is_division and by is not None:
            found.setdefault(ast.dump(by), node)
    return found


def _values(code: Code, dropped: ast.expr | None) -> Iterator[ast.expr]:
    """Yields a probability to drop, and what it is assigned from: `torch.ones(n) * p`."""
    for _ in range(3):
        if isinstance(dropped, (ast.Name, ast.Attribute, ast.BinOp)):
            yield dropped
        is_rest = isinstance(dropped, ast.BinOp) and isinstance(dropped.op, ast.Sub)  # 1 - keep
        name = dropped.right if is_rest else dropped  # type: ignore[union-attr]
        values = code.assigned(name) if isinstance(name, ast.Name) else []
        only = values[0] if len(values) == 1 else None
        if isinstance(only, ast.BinOp) and isinstance(only.op, ast.Mult):
            only = only.right
        dropped = rest_of(only) if is_rest and only is not None else only


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
