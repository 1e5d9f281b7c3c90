"""TD105: an attention function that drops in evaluation, too."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import ATTENTION, Call, Code, Function
from ._bases import has_plain_bases
from ._dropouts import around
from ._edits import gate_rate
from ._rule import Hit, rule

BROKEN = """\
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p

    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)
"""
FIXED = BROKEN.replace("dropout_p=self.p", "dropout_p=self.p if self.training else 0.0")

_Found = tuple[ast.expr, str]
_MOST = 50  # expressions that a rate may come from


@rule("TD105", "attention", BROKEN, FIXED)
def attention_dropout_ungated(code: Code) -> Iterator[Hit]:
    """An attention function is given a drop rate in training only.

    `scaled_dot_product_attention`, flash-attention's functions and xformers'
    `memory_efficient_attention` do not see a Module's mode: they drop whenever the rate is not 0. A
    model that passes `dropout_p=self.p` drops in evaluation. So does one that calls the function
    through an attribute.

    It is an error if a Module passes a constant or an attribute, directly or through local
    variables or one call within the file, and no test of training decides on it. It is advice if
    the caller is not known to be a Module. A rate that is a plain parameter is up to the caller.

    To fix: `dropout_p=self.p if self.training else 0.0`.

    Seen in: pytorch#124464; nanoGPT#240; transformers#33844; torchtune#1791; vjepa2#160
    """
    marked = set()
    for call in code.calls:
        name = call.name or ""
        rate = call.argument(ATTENTION[name]) if name in ATTENTION else None
        if not isinstance(rate, ast.expr) or code.is_deliberate(call.node):
            continue
        for node, given_by in _ungated(code, rate, call):
            if node in marked:
                continue
            marked.add(node)
            hit = _hit(code, node, given_by, name)
            if hit.severity is None or not code.place.is_test:
                yield hit


def _hit(code: Code, node: ast.expr, given_by: str, name: str) -> Hit:
    cls, function = code.class_of(node), code.function_of(node)
    in_module = (cls is not None and cls.is_module) or (function is not None and function.is_step)
    what = name.rpartition(".")[2]
    said = f"{what} drops in eval too: {given_by} is its rate in both modes"
    is_sure = in_module and _is_known(code, node)
    fix = gate_rate(code, node) if in_module else None
    hint = fix.does if fix else "give 0.0 in eval"
    return Hit(node, said, hint, fix, None if is_sure else "advice")


def _is_known(code: Code, rate: ast.expr) -> bool:
    """False for an attribute that a base in another file may define as a property."""
    while isinstance(rate, ast.Attribute) and isinstance(rate.value, ast.Attribute):
        rate = rate.value
    cls = code.class_of(rate)
    if not isinstance(rate, ast.Attribute) or cls is None or cls.assigned(rate.attr):
        return True
    return has_plain_bases(code, cls)


def _ungated(code: Code, rate: ast.expr, call: Call) -> Iterator[_Found]:
    """Yields the expressions, here or in a caller, that give the rate in both modes."""
    if code.gated(call.node) or code.depends_on_training(rate) or _is_zero_there(code, rate, call):
        return
    source = _source(code, rate)
    if source is None:
        return
    if isinstance(source, ast.arg):
        # The function that has the parameter: this one or one around it.
        for owner in around(code, call.function):
            if source in owner.parameters:
                yield from _from_callers(code, owner, source.arg)
    else:
        yield rate, code.text_of(source)


def _is_zero_there(code: Code, rate: ast.expr, call: Call) -> bool:
    """Whether the call is made only if the rate is 0: `if self.p == 0.0`, or a name for it."""
    text = code.text_of(rate)
    node: ast.AST = call.node
    for parent in code.parents(call.node):
        if isinstance(parent, ast.If) and code.is_in(node, parent, "body"):
            values = code.assigned(parent.test) or [parent.test]
            said = "" if values[0] is None else code.text_of(values[0])
            if said in (f"not {text}", f"{text} == 0", f"{text} == 0.0"):
                return True
        node = parent
    return False


def _from_callers(code: Code, function: Function, parameter: str) -> Iterator[_Found]:
    for call in function.callers:
        in_step = call.function is not None and call.function.is_step
        given = function.given(call, parameter) if in_step else None
        if not isinstance(given, ast.expr) or given is function.defaults.get(parameter):
            continue
        if code.gated(call.node) or code.is_deliberate(call.node):
            continue
        source = None if code.depends_on_training(given) else _source(code, given)
        if source is not None and not isinstance(source, ast.arg):
            yield given, code.text_of(source)


def _source(code: Code, rate: ast.expr) -> ast.expr | ast.arg | None:
    """Returns the constant, attribute or parameter that a rate comes from; None if unknown."""
    values: list[ast.expr | None] = [rate]
    for one in values:
        if one is None or len(values) > _MOST:
            return None
        if code.value(one) in (0, None):
            continue
        if isinstance(one, (ast.Constant, ast.Attribute)):
            return one
        if isinstance(one, ast.IfExp):
            values += [one.body, one.orelse]
        elif isinstance(one, ast.Name):
            node = code.bound(one).only
            if isinstance(node, ast.arg):
                return node
            values += [each for each in code.assigned(one) if each not in values]
    return None
