"""TD122: a rate that is not a probability."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator

from ..code import Code
from ._dropouts import is_number, is_refused, rates
from ._rule import Hit, rule

BROKEN = """\
from torch import nn

drop = nn.Dropout(50)
"""
FIXED = BROKEN.replace("50", "0.5")


@rule(
    "TD122",
    group="rates",
    broken=BROKEN,
    fixed=FIXED,
    evidence="nni#855; `nn.MultiheadAttention(dropout=1.5)` and `nn.Dropout(float('nan'))` are "
    "accepted at construction (torch 2.13)",
)
def p_out_of_range(code: Code) -> Iterator[Hit]:
    """A rate is between 0 and 1.

    The rule looks for a number outside [0, 1], or NaN, given as the rate of a dropout, an RNN, an
    attention or a Transformer layer; names that are bound once to a number are followed. A call
    that is expected to raise is skipped.

    Some of these raise when they are built, some only when they are called in training, and
    `float("nan")` never raises.

    To fix: 20 % is 0.2.
    """
    for call, parameter, given in rates(code):
        p = _number(code, given)
        if p is None or 0 <= p <= 1 or is_refused(code, call.node):
            continue
        percent = 1 < p <= 100 and p == int(p)
        yield Hit(
            given,
            f"{parameter} is a probability, in [0, 1]; this is {p:g}",
            f"{p:g} % is {p / 100:g}" if percent else "use a number in [0, 1]",
        )


def _number(code: Code, expr: ast.expr) -> float | None:
    value = code.value(expr)
    if is_number(value):
        assert isinstance(value, (int, float))
        return float(value)
    if code.name(expr) in ("math.nan", "numpy.nan", "torch.nan"):
        return math.nan
    if code.name(expr) in ("math.inf", "numpy.inf", "torch.inf"):
        return math.inf
    if (
        isinstance(expr, ast.Call)
        and isinstance(expr.func, ast.Name)
        and expr.func.id == "float"
        and not code.bindings(expr.func)
        and len(expr.args) == 1
        and isinstance(expr.args[0], ast.Constant)
    ):
        try:
            return float(expr.args[0].value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return None
    return None
