"""TD164: a rate that evaluation sets to 0 and nothing sets back."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import RATES, Class, Code, words
from ._dropouts import builds, is_number
from ._rule import Hit, kept, rule

BROKEN = """\
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.dropout_p = p

    def forward(self, q, k, v):
        if not self.training:
            self.dropout_p = 0.0
        return F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout_p)
"""
FIXED = BROKEN.replace(
    "        if not self.training:\n            self.dropout_p = 0.0\n",
    "        p = self.dropout_p if self.training else 0.0\n",
).replace("dropout_p=self.dropout_p)", "dropout_p=p)")


@rule(
    "TD164",
    group="modes",
    broken=BROKEN,
    fixed=FIXED,
    evidence="Megatron-LM#411, Megatron-DeepSpeed#295 (FlashSelfAttention.dropout_p)",
)
def rate_zeroed_for_good(code: Code) -> Iterator[Hit]:
    """A rate that is set to 0 in evaluation is set back in training.

    In a `forward`, or in a function that it calls, the rule looks for an attribute that is a drop
    probability and is set to 0 if `self.training` is false. It is reported if nothing in the file
    except `__init__` sets it again.

    The attribute keeps its value after the pass. The first evaluation turns dropout off for the
    rest of the training: there is no error, and the curves before it look right.

    To fix: use a local variable, `p = self.dropout_p if self.training else 0.0`. A dropout module
    does not need this, since `eval()` turns it off.
    """
    for cls in code.classes:
        if not cls.is_module:
            continue
        for function in cls.methods.values():
            if not function.is_step:
                continue
            for node in code.inside(function.node, ast.Assign):
                if len(node.targets) != 1:
                    continue
                target = node.targets[0]
                if (
                    isinstance(target, ast.Attribute)
                    and code.receiver(node) is not None
                    and _is_zeroed(code, node, target)
                    and _is_rate(code, cls, target)
                    and not _is_set_back(code, target)
                ):
                    yield Hit(
                        node,
                        f"{code.text_of(target)} stays 0 after the first pass in eval: "
                        "nothing sets it back",
                        "use a local variable, or let eval() turn the dropout off",
                    )


def _is_zeroed(code: Code, node: ast.Assign, target: ast.Attribute) -> bool:
    """Whether an assignment sets 0, and only in evaluation."""
    value = node.value
    if isinstance(value, ast.IfExp):  # `self.p = self.p if self.training else 0.0`
        mode = _mode(code, value.test)
        if mode is None:
            return False
        kept, given = (value.body, value.orelse) if mode else (value.orelse, value.body)
        return _is_zero(code, given) and code.text_of(kept) == code.text_of(target)
    return _is_zero(code, value) and _is_in_eval_alone(code, node)


def _is_zero(code: Code, expr: ast.expr) -> bool:
    value = code.value(expr)
    return is_number(value) and value == 0


def _is_in_eval_alone(code: Code, node: ast.stmt) -> bool:
    inner: ast.AST = node
    for parent in code.parents(node):
        if isinstance(parent, ast.If):
            mode = _mode(code, parent.test)
            if mode is not None and code.is_in(inner, parent, "orelse" if mode else "body"):
                # With an `and`, the other side runs in both modes.
                return not (mode and isinstance(parent.test, ast.BoolOp))
        elif isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef)):
            break
        inner = parent
    return False


def _mode(code: Code, test: ast.expr) -> bool | None:
    """Returns the mode in which a test of `self.training` is true; None for another test."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return next((m for m in (_mode(code, each) for each in test.values) if m is not None), None)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _mode(code, test.operand)
        is_plain = inner is not None and not isinstance(test.operand, ast.BoolOp)
        return not inner if is_plain else None
    if isinstance(test, ast.Compare) and isinstance(test.ops[0], (ast.Is, ast.Eq)):
        value = code.value(test.comparators[0])
        inner = _mode(code, test.left)
        return inner is value if isinstance(value, bool) and inner is not None else None
    is_it = (
        isinstance(test, ast.Attribute)
        and test.attr == "training"
        and isinstance(test.value, ast.Name)
        and test.value.id == code.receiver(test)
    )
    return True if is_it else None


def _is_rate(code: Code, cls: Class, target: ast.Attribute) -> bool:
    """Whether an attribute is a drop probability, by its name, its owner or its use."""
    receiver = code.receiver(target)
    owner = target.value
    if isinstance(owner, ast.Attribute):  # `self.drop.p`, `self.lstm.dropout`
        made = code.assigned(owner)
        if target.attr == "p":
            return any(builds(code, each) for each in made) or _says_drop(owner.attr)
        return _says_drop(target.attr)
    if not isinstance(owner, ast.Name) or owner.id != receiver:
        return False
    if any(isinstance(each, ast.Call) for each in code.assigned(target)):
        return False  # a module, not a rate
    if _says_drop(target.attr):
        return True
    return (cls, code.text_of(target)) in _rates(code)


@kept
def _rates(code: Code) -> frozenset[tuple[Class | None, str]]:
    """Returns the text of all that is given as a rate, each with its class."""
    given = ((call.cls, call.argument(RATES.get(call.name or "", ""))) for call in code.calls)
    return frozenset((cls, code.text_of(rate)) for cls, rate in given if isinstance(rate, ast.expr))


def _says_drop(name: str) -> bool:
    said = words(name)
    return "keep" not in said and any(word.startswith("drop") for word in said)


def _is_set_back(code: Code, target: ast.Attribute) -> bool:
    """Whether something in the file sets such an attribute again."""
    return "setattr" in code.names_in(code.tree) or target.attr in _set(code)


@kept
def _set(code: Code) -> frozenset[str]:
    """Returns the attributes that are set outside `__init__`, and not to 0 in eval."""
    found = set()
    for each in code.inside(code.tree, ast.Attribute):
        if isinstance(each.ctx, ast.Store):
            function = code.function_of(each)
            statement = next(code.parents(each))
            is_zero = isinstance(statement, ast.Assign) and _is_zeroed(code, statement, each)
            if not is_zero and (function is None or function.name != "__init__"):
                found.add(each.attr)
    return frozenset(found)
