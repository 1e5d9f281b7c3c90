"""TD143: one dropout right after another."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import Code
from ._excuses import exclude
from ._flow import Flow, flow
from ._layers import Chain, Layer, has_dropout, kind, reshapes
from ._rule import Hit, rule

BROKEN = """\
from torch import nn

head = nn.Sequential(
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Dropout(0.5),
    nn.Linear(64, 10),
)
"""
FIXED = BROKEN.replace("    nn.Dropout(0.5),\n", "", 1)

# They drop elements, wherever these are; the others drop slices along a dimension.
_ELEMENTS = frozenset(("Dropout", "dropout", "AlphaDropout", "alpha_dropout"))


@rule("TD143", "order", BROKEN, FIXED, severity="advice")
def double_dropout(code: Code) -> Iterator[Hit]:
    """A dropout is not applied to the result of another dropout.

    The rule looks at the layers of a Sequential, or of a list that becomes one, and at the layers
    that a function applies in turn to one value. It sees a second dropout under an option, in the
    next turn of a loop, and after a method or a Module of the project that ends with a dropout.
    Changes of the shape may be in between. A chain of several dropouts is reported once, at the
    second.

    Two dropouts of p and q drop 1 - (1 - p)(1 - q): twice 0.5 drops 0.75, and no number in the
    source says so.

    To fix: keep one, with the intended rate.

    Seen in: ConvE#19 (once after the embedding and again), seq2seq#79 (two stacked in a loop), the
    embeddings of blt and kosmos-2.5 in transformers.
    """
    if not has_dropout(code):
        return
    found, seen = flow(code), set()
    for chain in (chain for chains in found.applied for chain in chains):
        last, before = chain[-1], _before(chain)
        if not last.drops or last.node in seen or not before:
            continue
        other, name, is_here = before[0].node, _dropout(found, before[0]), before[0].drops
        if not name or (is_here and (other is last.node or exclude(code, last.node, other))):
            continue
        seen.add(last.node)
        if is_here and len(before) > 1 and before[1].drops:
            continue  # a longer chain is reported at its second dropout
        said = f"{kind(last)} right after {name}: together they drop more than either says"
        yield Hit(last.node, said, "keep one, with the intended rate")


def _before(chain: Chain) -> list[Layer]:
    """Returns the layers before the last, nearest first, apart from changes of the shape."""
    is_of_elements = kind(chain[-1]) in _ELEMENTS
    return [e for e in reversed(chain[:-1]) if not (is_of_elements and reshapes(e))]


def _dropout(found: Flow, layer: Layer) -> str:
    """Returns the name of a dropout, or of that with which a Module of another file ends."""
    if layer.drops:
        return kind(layer)
    ways = found.elsewhere(layer)[1].chains
    ends = {kind(way[-1]) if way and _may_drop(way[-1]) else "" for way in ways}
    return ends.pop() if len(ends) == 1 else ""


def _may_drop(layer: Layer) -> bool:
    """Whether a layer is a dropout, and its rate not the last of a list, which is often 0."""
    rate = layer.call.argument("p") if layer.call is not None else None
    is_last = isinstance(rate, ast.Subscript) and isinstance(rate.slice, ast.UnaryOp)
    return layer.drops and not is_last
