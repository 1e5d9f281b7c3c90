"""TD122: a rate that is not a probability."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator

from ..code import Class, Code
from ..reporting.findings import Severity
from ._dropouts import default_of, is_number, is_refused, rates
from ._options import is_settings, option_default
from ._rule import Hit, kept, rule

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

    The rule looks for a number outside [0, 1], or NaN, as the rate of a dropout, an RNN, an
    attention or a Transformer layer. It follows names that are bound once to a number. It is advice
    if the default of a parameter, or of an option, is above 1. A call that is expected to raise is
    skipped.

    Some of these raise when they are built, some only when they are called in training, and
    `float("nan")` never raises.

    To fix: 20 % is 0.2.
    """
    for call, parameter, given in rates(code):
        p = _number(code, given)
        severity: Severity | None = None
        if p is None and not code.is_test:
            p, severity = _by_default(code, given), "advice"
        if p is None or 0 <= p <= 1 or is_refused(code, call.node):
            continue
        by_default = " by default" if severity else ""
        percent = p in range(2, 101)
        yield Hit(
            given,
            f"{parameter} is a probability, in [0, 1]; this is {p:g}{by_default}",
            f"{p:g} % is {p / 100:g}" if percent else "use a number in [0, 1]",
            severity=severity,
        )


def _by_default(code: Code, rate: ast.expr) -> float | None:
    """Returns the default above 1 of a parameter or an option that is the rate; None for others.

    A default below 0 may mean that there is no dropout, and so may a number that a test reads.
    """
    if isinstance(rate, ast.Name) and len(code.bindings(rate)) == 1:
        p = default_of(code, rate)
    elif isinstance(rate, ast.Attribute) and (is_settings(rate.value) or _is_built(code, rate)):
        p = option_default(code, rate.attr)
    elif isinstance(rate, ast.Attribute):
        p = default_of(code, rate)
    else:
        return None
    if not is_number(p) or not isinstance(p, (int, float)) or p <= 1:
        return None
    said = rate.id if isinstance(rate, ast.Name) else rate.attr
    for parent in code.parents(rate):
        test = parent.test if isinstance(parent, (ast.If, ast.IfExp)) else None
        if test is not None and said in _asked(code, test):
            return None
    return float(p)


@kept
def _asked(_: Code, test: ast.expr) -> frozenset[str]:
    """Returns the names and attributes in a test; each test is read once."""
    nodes = [*ast.walk(test)]
    attributes = {each.attr for each in nodes if isinstance(each, ast.Attribute)}
    return frozenset(attributes | {each.id for each in nodes if isinstance(each, ast.Name)})


def _is_built(code: Code, rate: ast.Attribute) -> bool:
    """Whether what holds a rate is built by default from a class of the file: `c=Config()`."""
    function = code.function_of(rate)
    if function is None or not isinstance(rate.value, ast.Name):
        return False
    default = function.defaults.get(rate.value.id)
    return isinstance(default, ast.Call) and isinstance(code.local(default.func), Class)


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
