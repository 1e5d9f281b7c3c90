"""TD164: a rate that evaluation sets to 0 and nothing sets back."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import RATES, Class, Code, words
from ._dropouts import is_number
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


@rule("TD164", "modes", BROKEN, FIXED)
def rate_zeroed_for_good(code: Code) -> Iterator[Hit]:
    """A rate that is set to 0 in evaluation is set back in training.

    In a `forward`, or in a function that it calls, the rule looks for an attribute that is a drop
    probability and is set to 0 if `self.training` is false. It is reported if nothing in the file
    except `__init__` sets it again.

    The attribute keeps its value after the pass. The first evaluation turns dropout off for the
    rest of the training: there is no error, and the curves before it look right.

    To fix: use a local variable, `p = self.dropout_p if self.training else 0.0`. A dropout module
    does not need this, since `eval()` turns it off.

    Seen in: Megatron-LM#411, Megatron-DeepSpeed#295 (FlashSelfAttention.dropout_p)
    """
    for node in code.inside(code.tree, ast.Assign):
        target, cls, function = node.targets[0], code.class_of(node), code.function_of(node)
        if cls is None or not cls.is_module or function is None or not function.is_step:
            continue
        if not isinstance(target, ast.Attribute) or not _is_zeroed(code, node):
            continue
        if _is_rate(code, cls, target) and target.attr not in _set(code):
            text = code.text_of(target)
            said = f"{text} stays 0 after the first pass in eval: nothing sets it back"
            yield Hit(node, said, "use a local variable, or let eval() turn the dropout off")


def _is_zeroed(code: Code, node: ast.Assign) -> bool:
    """Whether an assignment sets 0, and only in evaluation."""
    value = code.value(node.value)
    if not is_number(value) or value != 0:
        return False
    inner: ast.AST = node
    for parent in code.parents(node):
        if isinstance(parent, ast.If):
            tests = parent.test.values if isinstance(parent.test, ast.BoolOp) else [parent.test]
            is_in_body = code.is_in(inner, parent, "body")
            if is_in_body and any(_is_mode(code, each, in_training=False) for each in tests):
                return not isinstance(getattr(parent.test, "op", None), ast.Or)
            if not is_in_body and _is_mode(code, parent.test, in_training=True):
                return True
        inner = parent
    return False


def _is_mode(code: Code, test: ast.expr, *, in_training: bool) -> bool:
    """Whether a test is `self.training`, or `not self.training`."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return not in_training and _is_mode(code, test.operand, in_training=True)
    receiver = code.receiver(test)
    return in_training and receiver is not None and code.text_of(test) == f"{receiver}.training"


def _is_rate(code: Code, cls: Class, target: ast.Attribute) -> bool:
    """Whether an attribute is a drop probability, by its name, its owner's or its use."""
    if any(isinstance(each, ast.Call) for each in code.assigned(target)):
        return False  # a module, not a rate
    text = code.text_of(target)
    said = words(text)
    is_named = "keep" not in said and any(word.startswith("drop") for word in said)
    return is_named or (cls, text) in _rates(code)


@kept
def _rates(code: Code) -> frozenset[tuple[Class | None, str]]:
    """Returns the text of all that is given as a rate, each with its class."""
    given = ((call.cls, call.argument(RATES.get(call.name or "", ""))) for call in code.calls)
    return frozenset((cls, code.text_of(rate)) for cls, rate in given if isinstance(rate, ast.expr))


@kept
def _set(code: Code) -> frozenset[str]:
    """Returns the attributes that are set outside `__init__`, and not to 0 in eval."""
    found = set()
    for each in code.inside(code.tree, ast.Attribute):
        function, statement = code.function_of(each), next(code.parents(each))
        is_set = isinstance(each.ctx, ast.Store) and (
            function is None or function.name != "__init__"
        )
        if is_set and not (isinstance(statement, ast.Assign) and _is_zeroed(code, statement)):
            found.add(each.attr)
    return frozenset(found)
