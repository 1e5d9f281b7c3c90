"""TD121: a probability to keep, given as the probability to drop."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ..code import Code, words
from ..findings import Edit, Fix
from ._dropouts import default_of, one_line, rates
from ._rule import Hit, rule

BROKEN = """\
from torch import nn


def head(keep_prob):
    return nn.Sequential(nn.Dropout(keep_prob), nn.Linear(8, 2))
"""
FIXED = BROKEN.replace("Dropout(keep_prob)", "Dropout(1 - keep_prob)")
_KEEP = "keep|keeping|kept|survival|survive|survives|surviving|retain|retaining|retention"
_RATE = (
    "p|pr|prob|probs|proba|probab|probability|probabilities|rate|rates|ratio|ratios|chance|frac"
    "|fraction|perc|pct|percent|percentage"
)
_KEEPS = re.compile(
    rf"(?:^|_)(?:(?:{_KEEP})(?:_?(?:{_RATE})(?:_\w+)?)?$"
    rf"|(?:{_RATE})_(?:(?:to|of|for)_)?(?:{_KEEP})(?:_\w+)?$|pkeep$)"
)
_DROPS = re.compile(r"(?:^|_)drop(?:out|path|connect)?(?:_|$)")


@rule(
    "TD121",
    group="rates",
    broken=BROKEN,
    fixed=FIXED,
    evidence="apex#816; theanets#123; numpy-ml#94; tensorforce#111",
)
def keep_probability_as_p(code: Code) -> Iterator[Hit]:
    """A dropout is given the probability to drop, not the probability to keep.

    The rule looks for a name that contains keep, survival or retain (`keep_prob`, `self.keep_rate`,
    `cfg.survival_prob`) and is given as the rate of a torch dropout, an RNN, an attention or a
    Transformer layer. It is advice if the name stands for a number below a half, since the name may
    be what is wrong, and for `1 - dropout`. `keep_dropout` may also be the option whether to keep
    it, and is not reported.

    TensorFlow 1 took the probability to keep, torch takes the probability to drop. A model ported
    with `keep_prob=0.9` drops 90 %.

    To fix: `1 - keep_prob`.
    """
    for _, parameter, given in rates(code):
        if _is_complement(given):
            assert isinstance(given, ast.BinOp)
            inner = _said(given.right)
            if _DROPS.search(inner) and not _KEEPS.search(inner):
                text = one_line(code, given)
                yield Hit(
                    given,
                    f"{text} reads as the probability to keep; {parameter} is the one to drop",
                    f"{one_line(code, given.right)}, if it is the probability to drop",
                    severity="advice",
                )
        elif _KEEPS.search(_said(given)) and not _is_turned(code, given):
            yield _hit(code, given, parameter)


def _hit(code: Code, given: ast.expr, parameter: str) -> Hit:
    text = one_line(code, given)
    said = f"{text} is named as a probability to keep, and {parameter} is the probability to drop"
    usual = default_of(code, given)
    if isinstance(usual, (int, float)) and usual < 0.5:
        hint = f"it is {usual:g} by default; perhaps the name is wrong"
        return Hit(given, said, hint, severity="advice")
    fix = None
    if isinstance(given, (ast.Name, ast.Attribute)):
        start, _ = code.span(given)
        # A model that was trained as it is goes on with another rate.
        fix = Fix(f"give 1 - {text}", (Edit(start, start, "1 - "),), safe=False)
    return Hit(given, said, f"give 1 - {text}", fix)


def _said(expr: ast.AST) -> str:
    """Returns the words of the last part of a name, joined by `_`."""
    if isinstance(expr, ast.Name):
        name = expr.id
    elif isinstance(expr, ast.Attribute):
        name = expr.attr
    elif isinstance(expr, ast.Subscript) and isinstance(expr.slice, ast.Constant):
        name = expr.slice.value if isinstance(expr.slice.value, str) else ""
    else:
        return ""
    return "_".join(words(name))


def _is_complement(expr: ast.AST | None) -> bool:
    return (
        isinstance(expr, ast.BinOp)
        and isinstance(expr.op, ast.Sub)
        and isinstance(expr.left, ast.Constant)
        and expr.left.value == 1
    )


def _is_turned(code: Code, given: ast.expr) -> bool:
    """Whether the name holds a drop probability: `keep = 1 - keep`, `keep_prob = drop_rate`."""
    for value in code.assigned(given):
        if _is_complement(value):
            assert isinstance(value, ast.BinOp)
            if _KEEPS.search(_said(value.right)):
                return True
        elif value is not None and _DROPS.search(_said(value)) and not _KEEPS.search(_said(value)):
            return True
    return False
