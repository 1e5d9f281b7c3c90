"""TD102: `F.alpha_dropout` without `training`."""

from __future__ import annotations

from collections.abc import Iterator

from ..code import FUNCTIONAL_OFF, OTHER_OFF, Code
from ._edits import add_training
from ._rule import Hit, rule
from .dropout_wrong_arguments import wrong_arguments

BROKEN = """\
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def forward(self, x):
        return F.alpha_dropout(F.selu(x), 0.1)
"""
FIXED = BROKEN.replace("0.1)", "0.1, training=self.training)")

_NEVER_ON = frozenset((*FUNCTIONAL_OFF, *OTHER_OFF))


@rule("TD102", "functional", BROKEN, FIXED)
def functional_never_on(code: Code) -> Iterator[Hit]:
    """F.alpha_dropout and F.feature_alpha_dropout are given `training`; without it they never drop.

    Unlike `F.dropout`, these two have `training=False` by default, and so has timm's `drop_path`.
    The call returns its input, in training as well: the model trains without the dropout that its
    source shows. It is advice outside of a Module and of the functions that its `forward` calls in
    the same file, since such a function may be meant for evaluation.

    To fix: `training=self.training`, or an `nn.AlphaDropout` in `__init__`.

    Seen in: torch's signatures: `dropout` and `dropout2d` have True, these two False
    """
    for call in code.calls:
        if call.name in _NEVER_ON and call.argument("training") is None:
            if wrong_arguments(code, call) is not None:
                continue
            said = f"{code.text_of(call.node.func)} never drops: training defaults to False"
            is_module = call.cls is not None and call.cls.is_module
            fix = add_training(code, call) if is_module else None
            in_step = is_module or (call.function is not None and call.function.is_step)
            if in_step or not code.place.is_test:
                hint = fix.does if fix else "give training="
                yield Hit(call.node, said, hint, fix, None if in_step else "advice")
