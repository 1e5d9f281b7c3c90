"""TD121: a probability to keep, given as the probability to drop."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import islice
from typing import TypeGuard

from ..code import Code, words
from ..code.nodes import said_of
from ..findings import Edit, Fix
from ._dropouts import default_of, is_number, one_line, rates
from ._rule import Hit, rule

BROKEN = """\
from torch import nn


def head(keep_prob):
    return nn.Sequential(nn.Dropout(keep_prob), nn.Linear(8, 2))
"""
FIXED = BROKEN.replace("Dropout(keep_prob)", "Dropout(1 - keep_prob)")
_KEEP = "keep|kept|survival|survive|retain|retention"
_RATE = "p|prob|probs|probability|rate|ratio"
_KEEPS = re.compile(rf"(?:^|_)(?:(?:{_KEEP})(?:_?(?:{_RATE}))?|(?:{_RATE})_(?:{_KEEP}))$")
_MOST_NAMES = 4  # that stand for one another
_DROPS = re.compile(r"(?:^|_)drop(?:out|path|connect)?(?:_|$)")


@rule("TD121", "rates", BROKEN, FIXED)
def keep_probability_as_p(code: Code) -> Iterator[Hit]:
    """A dropout is given the probability to drop, not the probability to keep.

    The rule looks for a name that contains keep, survival or retain (`keep_prob`, `self.keep_rate`,
    `cfg.survival_prob`) and is passed as the rate of a torch dropout, an RNN, an attention or a
    Transformer layer, also through another name (`self.p = keep_prob`).

    It is advice in two cases: the name stands for a number below a half, so that the name may be
    what is wrong, or the rate is `1 - dropout`.

    TensorFlow 1 took the probability to keep, torch takes the probability to drop. A model ported
    with `keep_prob=0.9` drops 90 %.

    To fix: `1 - keep_prob`.

    Seen in: apex#816; theanets#123; numpy-ml#94; tensorforce#111
    """
    for _, parameter, given in rates(code):
        sides = [given.body, given.orelse] if isinstance(given, ast.IfExp) else [given]
        hits = (_found(code, given, _origin(code, side), parameter) for side in sides)
        yield from islice((hit for hit in hits if hit is not None), 1)


def _found(code: Code, given: ast.expr, origin: ast.expr, parameter: str) -> Hit | None:
    """Finds what is wrong with a rate by its name, or by the name of what it is 1 minus."""
    text = one_line(code, origin)
    if _is_complement(origin):
        if not _says_drop(origin.right):
            return None
        said = f"{text} reads as the probability to keep; {parameter} is the one to drop"
        inner = one_line(code, origin.right)
        return Hit(given, said, f"{inner}, if it is the probability to drop", severity="advice")
    if not _says_keep(origin) or _is_turned(code, origin):
        return None
    said = f"{text} is named as a probability to keep, and {parameter} is the probability to drop"
    usual = default_of(code, origin)
    if is_number(usual) and usual < 0.5:
        hint = f"it is {usual:g} by default; perhaps the name is wrong"
        return Hit(given, said, hint, severity="advice")
    fix = None
    if given is origin and isinstance(given, (ast.Name, ast.Attribute)):
        start, _ = code.span(given)
        # It changes the rate of a model that may already be trained.
        fix = Fix(f"give 1 - {text}", (Edit(start, start, "1 - "),), safe=False)
    return Hit(given, said, f"give 1 - {text}", fix)


def _origin(code: Code, expr: ast.expr) -> ast.expr:
    """Returns what a name that says nothing stands for: `p = keep_prob`."""
    for _ in range(_MOST_NAMES):
        values = [] if _says_keep(expr) else code.assigned(expr)
        only = values[0] if len(values) == 1 else None
        if only is None:
            break
        expr = only
    return expr


def _is_turned(code: Code, given: ast.expr) -> bool:
    """Whether the name holds a drop probability: `keep = 1 - keep`, `keep_prob = drop_rate`."""
    values = (value for value in code.assigned(given) if value is not None)
    return any(
        _says_keep(value.right) if _is_complement(value) else _says_drop(value) for value in values
    )


def _says_keep(expr: ast.AST) -> bool:
    return bool(_KEEPS.search(_said(expr)))


def _says_drop(expr: ast.AST) -> bool:
    return bool(_DROPS.search(_said(expr))) and not _says_keep(expr)


def _said(expr: ast.AST) -> str:
    """Returns the words of the last part of a name, joined by `_`."""
    name = said_of(expr)
    if isinstance(expr, ast.Subscript) and isinstance(expr.slice, ast.Constant):
        name = str(expr.slice.value)  # options["keep_prob"]
    return "_".join(words(name))


def _is_complement(expr: ast.AST) -> TypeGuard[ast.BinOp]:
    return (
        isinstance(expr, ast.BinOp)
        and isinstance(expr.op, ast.Sub)
        and isinstance(expr.left, ast.Constant)
        and expr.left.value == 1
    )
