"""TD110: a mask from uniform numbers in the dtype of what it drops."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import Call, Code, Function
from ._masks import is_rate
from ._rule import Hit, rule

BROKEN = """\
import torch


def drop_path(x, drop_prob, training):
    if not training or drop_prob == 0.0:
        return x
    keep = 1 - drop_prob
    shape = (x.shape[0],) + (1,) * (x.ndim - 1)
    return x / keep * (keep + torch.rand(shape, dtype=x.dtype, device=x.device)).floor()
"""
FIXED = BROKEN.replace("dtype=x.dtype, ", "")

_GREATER = (ast.Gt, ast.GtE)
_LESS = (ast.Lt, ast.LtE)
# By how the mask is made: what bfloat16 makes of a rate of 0.01 and of one of 0, on the CPU.
_ABOVE = "a rate of 0.01 drops 1.2 %, and a rate of 0 drops 0.2 %"
_BELOW = "a rate of 0.01 drops 1.17 %"
_FLOOR = "a rate of 0.01 drops 1.17 %, and a rate of 0 doubles 0.4 % of the values"


@rule("TD110", "functional", BROKEN, FIXED, severity="advice")
def mask_in_low_precision(code: Code) -> Iterator[Hit]:
    """The random numbers of a mask have the precision of float32.

    The rule looks at uniform numbers that have the dtype of an input (`rand_like(x)`, `rand(shape,
    dtype=x.dtype)`) and are compared with a drop rate, or to which the rate to keep is added before
    `floor`. It counts as dropout if the rate, or the function or class around it, is named after
    dropout.

    Under autocast or in a model that was cast, the input is in bfloat16 or float16. Uniform numbers
    in bfloat16 have 8 bits: `rand_like(x) > 0.01` drops 1.2 % and not 1 %, and `floor(1 + rand)` is
    2 for 0.4 % of the numbers, so that with a rate of 0 these values are doubled. In float16 the
    differences are an eighth of that. These figures are from four million numbers of torch 2.13 on
    a CPU.

    To fix: draw in float32, the default of `torch.rand`, or draw the mask by `bernoulli_(keep)`,
    which is exact in every dtype.

    Seen in: boltz#553; the DropPath of many models in transformers.
    """
    if code.place.is_test or "rand" not in code.text:
        return
    for call in code.calls:
        function = call.function
        if function is None or not _is_of_input(code, call):
            continue
        used = (_used(code, each, function) for each in _places(code, call, function))
        rate, said = next((each for each in used if each[0] is not None), (None, ""))
        if rate is not None and is_rate(code, rate, function):
            said = f"{code.text_of(call.node.func)} in the dtype of the input: in bfloat16 {said}"
            yield Hit(call.node, said, "draw in float32, or use bernoulli_()")


def _is_of_input(code: Code, call: Call) -> bool:
    """Whether a call draws uniform numbers in the dtype of a tensor that is given."""
    if call.name not in ("torch.rand", "torch.rand_like"):
        return False
    dtype = next((each.value for each in call.node.keywords if each.arg == "dtype"), None)
    if dtype is not None:
        return isinstance(dtype, ast.Attribute) and dtype.attr == "dtype"
    like = call.node.args[0] if call.node.args else None
    is_cast = isinstance(like, ast.Call) and getattr(like.func, "attr", "") in ("float", "double")
    return call.name == "torch.rand_like" and like is not None and not is_cast


def _places(code: Code, call: Call, function: Function) -> Iterator[ast.expr]:
    """Yields where uniform numbers are used: the call, or the name that they are given."""
    yield call.node
    parent = next(code.parents(call.node), None)
    target = parent.targets[0] if isinstance(parent, ast.Assign) else None
    if isinstance(target, ast.Name) and code.assigned(target) == [call.node]:
        yield from code.names_in(function.node)[target.id]


def _used(code: Code, drawn: ast.expr, function: Function) -> tuple[ast.expr | None, str]:
    """Returns the rate that uniform numbers make a mask with, and what becomes of it."""
    parent = next(code.parents(drawn), None)
    if isinstance(parent, ast.Compare) and len(parent.ops) == 1:
        left, op, right = parent.left, parent.ops[0], parent.comparators[0]
        is_left = left is drawn
        if isinstance(op, (*_GREATER, *_LESS)):
            is_above = isinstance(op, _GREATER) is is_left
            return (right if is_left else left), _ABOVE if is_above else _BELOW
    is_sum = isinstance(parent, (ast.BinOp, ast.AugAssign)) and isinstance(parent.op, ast.Add)
    if not is_sum or not _is_floored(code, function):
        return None, ""
    if isinstance(parent, ast.AugAssign):  # keep += rand
        return parent.target, _FLOOR
    return (parent.left if parent.right is drawn else parent.right), _FLOOR  # type: ignore


def _is_floored(code: Code, function: Function) -> bool:
    attributes = code.inside(function.node, ast.Attribute)
    return any(each.attr in ("floor", "floor_") for each in attributes)
