"""TD124: a rate of 0, which does nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import FUNCTIONAL_OFF, FUNCTIONAL_ON, RATES, Code
from ._dropouts import BUILDERS, is_number, one_line, sets_later
from ._rule import Hit, rule

BROKEN = """\
from torch import nn

net = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.0), nn.Linear(8, 2))
"""
FIXED = BROKEN.replace("nn.Dropout(0.0), ", "")
_DROPOUTS = frozenset((*BUILDERS, *FUNCTIONAL_ON, *FUNCTIONAL_OFF, "torch.dropout"))


@rule("TD124", "rates", BROKEN, FIXED, severity="advice")
def p_zero(code: Code) -> Iterator[Hit]:
    """The rate of a dropout is above 0; with a rate of 0 it does nothing.

    The rule looks for the literal 0 or 0.0 as the rate of a dropout, outside tests, if the file
    does not set the rate later. Attention and RNNs, whose rate is an option, are not reported, nor
    are default values of parameters.

    Such a line reads as if the model had dropout, and costs a call per step. If it is kept so that
    the names in a state dict stay the same, say so: `# torchdropout: ignore[p-zero]`.

    To fix: remove it, or make the rate a parameter.

    Seen in: timm 1.0 models/iformer.py:201; transformers 5
    models/layoutlmv3/modeling_layoutlmv3.py:549
    """
    for call in () if code.place.is_test else code.calls:
        if call.name not in _DROPOUTS:
            continue
        given = call.argument(RATES.get(call.name, ""))
        if not isinstance(given, ast.Constant) or not is_number(given.value) or given.value != 0:
            continue
        if not sets_later(code, ("p", "drop_prob")):
            what = one_line(code, call.node.func)
            yield Hit(
                given, f"{what} with a rate of {code.text_of(given)} does nothing", "remove it"
            )
