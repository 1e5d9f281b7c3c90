"""TD123: a rate of 1, which drops everything."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import Code
from ._dropouts import is_number, is_refused, rates
from ._rule import Hit, rule

BROKEN = """\
from torch import nn

drop = nn.Dropout(1.0)
"""
FIXED = BROKEN.replace("1.0", "0.1")


@rule("TD123", "rates", BROKEN, FIXED, severity="advice")
def p_one(code: Code) -> Iterator[Hit]:
    """A rate is below 1; a rate of 1 drops everything.

    The rule looks for the literal 1 or 1.0 as the rate of a dropout, an RNN, an attention or a
    Transformer layer, outside tests.

    In training the output is all zeros and no gradient passes. In TensorFlow 1 the number was the
    probability to keep, and 1.0 meant no dropout.

    To fix: use 0 for no dropout, or remove it.

    Seen in: pytorch#100025; boltz#553; keep probabilities ported from TensorFlow 1, where 1.0 drops
    nothing
    """
    if code.place.is_test:
        return
    for call, parameter, given in rates(code):
        if not isinstance(given, ast.Constant) or not is_number(given.value) or given.value != 1:
            continue
        if not is_refused(code, call.node):
            said = f"{parameter}={code.text_of(given)} drops everything in training"
            yield Hit(given, said, "use 0 for no dropout")
