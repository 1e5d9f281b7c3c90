"""TD121: a probability to keep, given as the probability to drop."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ..code import RATES, Class, Code, words
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
    rf"(?:^|_)(?:(?:{_KEEP})(?:_?(?:{_RATE}|drop|dropout)(?:_\w+)?)?$"
    rf"|(?:{_RATE})_(?:(?:to|of|for)_)?(?:{_KEEP})(?:_\w+)?$|pkeep$)"
)
_MOST_NAMES = 4  # that stand for one another
_OTHER_ROOTS = ("tensorflow.", "keras.", "jax.", "flax.", "paddle.", "mxnet.", "mindspore.")
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
    `cfg.survival_prob`) and is passed as the rate of a torch dropout, an RNN, an attention or a
    Transformer layer, also through another name (`self.p = keep_prob`).

    It is advice in four cases: the name stands for a number below a half, so that the name may be
    what is wrong; the rate is `1 - dropout`; the name is `keep_dropout`, which may also be the
    option whether to keep the dropout; or it is passed to a parameter of other code whose name says
    drop rate (`Block(dropout=keep_prob)`).

    TensorFlow 1 took the probability to keep, torch takes the probability to drop. A model ported
    with `keep_prob=0.9` drops 90 %.

    To fix: `1 - keep_prob`.
    """
    for _, parameter, given in rates(code):
        for side in _sides(given):
            origin = _origin(code, side)
            if _is_complement(origin):
                assert isinstance(origin, ast.BinOp)
                inner = _said(origin.right)
                if _DROPS.search(inner) and not _KEEPS.search(inner):
                    text = one_line(code, origin)
                    yield Hit(
                        given,
                        f"{text} reads as the probability to keep; {parameter} is the one to drop",
                        f"{one_line(code, origin.right)}, if it is the probability to drop",
                        severity="advice",
                    )
                    break
            elif _KEEPS.search(_said(origin)) and not _is_turned(code, origin):
                yield _hit(code, given, origin, parameter)
                break
    yield from _passed_on(code)


def _passed_on(code: Code) -> Iterator[Hit]:
    """Yields the probabilities to keep that are given to a parameter named as a drop rate."""
    if "torch" not in code.text:
        return
    for call in code.calls:
        if call.name in RATES or (call.name or "").startswith(_OTHER_ROOTS):
            continue
        given = [(each.arg, each.value) for each in call.node.keywords]
        target = code.local(call.node.func)
        function = target.method("__init__") if isinstance(target, Class) else target
        if function is not None:
            places = {place: name for name, place in function.places.items()}
            given += [(places.get(at), each) for at, each in enumerate(call.node.args)]
        for name, each in given:
            said = "_".join(words(name or ""))
            if not _DROPS.search(said) or _KEEPS.search(said):
                continue
            if _KEEPS.search(_said(each)) and not _is_turned(code, each):
                text = one_line(code, each)
                yield Hit(
                    each,
                    f"{text} is named as a probability to keep, and {name} as one to drop",
                    f"1 - {text}, if the names are right",
                    severity="advice",
                )


def _sides(expr: ast.expr) -> list[ast.expr]:
    return [expr.body, expr.orelse] if isinstance(expr, ast.IfExp) else [expr]


def _origin(code: Code, expr: ast.expr) -> ast.expr:
    """Returns what a name that says nothing stands for: `p = keep_prob`, `float(keep_prob)`."""
    for _ in range(_MOST_NAMES):
        if isinstance(expr, ast.Call) and isinstance(expr.func, ast.Name):
            if expr.func.id != "float" or len(expr.args) != 1:
                break
            expr = expr.args[0]
            continue
        if _KEEPS.search(_said(expr)):
            break
        values = code.assigned(expr)
        only = values[0] if len(values) == 1 else None
        if only is None:
            break
        expr = only
    return expr


def _hit(code: Code, given: ast.expr, origin: ast.expr, parameter: str) -> Hit:
    text = one_line(code, origin)
    said = f"{text} is named as a probability to keep, and {parameter} is the probability to drop"
    usual = default_of(code, origin)
    if isinstance(usual, (int, float)) and usual < 0.5:
        hint = f"it is {usual:g} by default; perhaps the name is wrong"
        return Hit(given, said, hint, severity="advice")
    if usual is None and words(_said(origin))[-1] in ("drop", "dropout"):
        # It may also be the option whether to keep the dropout.
        return Hit(given, said, f"1 - {text}, if it is a probability", severity="advice")
    fix = None
    if given is origin and isinstance(given, (ast.Name, ast.Attribute)):
        start, _ = code.span(given)
        # It changes the rate of a model that may already be trained.
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
    elif isinstance(expr, ast.Call) and isinstance(expr.func, ast.Attribute):
        key = expr.args[0] if expr.func.attr in ("get", "pop") and expr.args else None
        name = str(key.value) if isinstance(key, ast.Constant) else ""
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
