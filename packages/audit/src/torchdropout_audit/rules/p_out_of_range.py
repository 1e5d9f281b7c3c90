"""TD122: a rate that is not a probability."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import Code
from ..reporting.findings import Severity
from ._dropouts import default_of, is_number, is_refused, rates
from ._rule import Hit, rule

BROKEN = """\
from torch import nn

drop = nn.Dropout(50)
"""
FIXED = BROKEN.replace("50", "0.5")


@rule("TD122", "rates", BROKEN, FIXED)
def p_out_of_range(code: Code) -> Iterator[Hit]:
    """A rate is between 0 and 1.

    The rule looks for a number outside [0, 1], or NaN, as the rate of a dropout, an RNN, an
    attention or a Transformer layer. It follows names that are bound once to a number. It is advice
    if the default of a parameter is above 1. A call that is expected to raise is skipped.

    Some of these raise when they are built, some only when they are called in training, and
    `float("nan")` never raises.

    To fix: 20 % is 0.2.

    Seen in: nni#855; `nn.MultiheadAttention(dropout=1.5)` and `nn.Dropout(float('nan'))` are
    accepted at construction (torch 2.13)
    """
    for call, parameter, given in rates(code):
        p = _number(code, given)
        severity: Severity | None = None
        if p is None and not code.place.is_test:
            p, severity = _by_default(code, given), "advice"
        if p is None or 0 <= p <= 1 or is_refused(code, call.node):
            continue
        by_default = " by default" if severity else ""
        said = f"{parameter} is a probability, in [0, 1]; this is {p:g}{by_default}"
        hint = f"{p:g} % is {p / 100:g}" if p in range(2, 101) else "use a number in [0, 1]"
        yield Hit(given, said, hint, severity=severity)


def _by_default(code: Code, rate: ast.expr) -> float | None:
    """Returns the default above 1 of a parameter that is the rate; None for others.

    A default below 0 may mean that there is no dropout, and so may a number that a test reads.
    """
    p = default_of(code, rate)
    if not is_number(p) or p <= 1 or (isinstance(rate, ast.Name) and len(code.bindings(rate)) > 1):
        return None
    said = code.text_of(rate)
    tests = (each.test for each in code.parents(rate) if isinstance(each, (ast.If, ast.IfExp)))
    return None if any(said in code.text_of(test) for test in tests) else float(p)


def _number(code: Code, expr: ast.expr) -> float | None:
    value = code.value(expr)
    if is_number(value):
        return float(value)
    module, _, name = (code.name(expr) or "").rpartition(".")
    if module in ("math", "numpy", "torch") and name in ("nan", "inf"):
        return float(name)
    is_made = isinstance(expr, ast.Call) and getattr(expr.func, "id", "") == "float"
    text = code.value(expr.args[0]) if is_made and len(expr.args) == 1 else None  # type: ignore
    return float(text) if text in ("nan", "inf", "-inf") else None
