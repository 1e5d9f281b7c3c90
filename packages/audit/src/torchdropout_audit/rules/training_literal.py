"""TD104: `training` as a literal."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import FUNCTIONAL_OFF, FUNCTIONAL_ON, Code
from ._rule import Hit, rule
from .functional_always_on import is_reached, stands_in_for_attention

BROKEN = """\
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.1, training=True)
"""
FIXED = BROKEN.replace("training=True", "training=self.training")

_PARAMETER = {
    **dict.fromkeys((*FUNCTIONAL_ON, *FUNCTIONAL_OFF), "training"),
    "torch.dropout": "train",
}


@rule("TD104", "functional", BROKEN, FIXED, severity="advice")
def training_literal(code: Code) -> Iterator[Hit]:
    """`training` is the mode of the model; a literal is always on, or never.

    `training=True` drops in evaluation, too, and `training=False` never drops. Either may be
    intended, for example in Monte-Carlo dropout: mark such a line, or the file, with
    `# torchdropout: mc-dropout`.

    A literal is not reported in tests, in functions and classes whose name says Monte-Carlo or
    Bayesian dropout, or where a test of training decides whether the call runs or what p is. A
    function that stands in for torch's `scaled_dot_product_attention` always applies its
    `dropout_p`, as torch's function does: it is reported only where a Module of the file passes it
    a rate in both modes.

    To fix: `training=self.training`.

    Seen in: pytorch#99293
    """
    if code.place.is_test:
        return
    marked = set()
    for call in code.calls:
        training = call.argument(_PARAMETER.get(call.name or "", ""))
        if not isinstance(training, ast.Constant) or training.value not in (0, 1):
            continue
        if training in marked or code.gated(call.node) or code.is_deliberate(call.node):
            continue
        p = call.argument("p")
        if isinstance(p, ast.expr) and code.depends_on_training(p):
            continue
        if stands_in_for_attention(call.function, p) and not is_reached(code, call.function, p):
            continue
        marked.add(training)  # one that a dict gives may be in several calls
        does = "drops in eval too" if training.value else "never drops"
        yield Hit(
            training, f"training is always {training.value}: the call {does}", "pass self.training"
        )
