"""TD143: one dropout right after another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ..code import Code
from ._rule import Hit, rule
from ._sequences import Layer, Path, drops, kind, paths, reshapes

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
FIXED = """\
from torch import nn

head = nn.Sequential(
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Linear(64, 10),
)
"""

_ELEMENTS = frozenset(("Dropout", "dropout", "AlphaDropout", "alpha_dropout"))


@rule(
    "TD143",
    group="order",
    severity="advice",
    broken=BROKEN,
    fixed=FIXED,
    evidence="ConvE#19 (once after the embedding and again), seq2seq#79 (two stacked in a loop), "
    "the embeddings of blt and kosmos-2.5 in transformers.",
)
def double_dropout(code: Code) -> Iterator[Hit]:
    """A dropout is not applied to the result of another dropout.

    The rule looks at the layers of a Sequential, including nested ones, and at what a function
    applies in turn to one value; `view`, `squeeze`, `transpose` and other changes of the shape may
    be in between. A chain of several dropouts is reported once, at the second.

    Two dropouts of p and q drop 1 - (1 - p)(1 - q): twice 0.5 drops 0.75, and no number in the
    source says so. Most often one of them was left behind when a layer between them was removed.

    To fix: keep one, with the intended rate.
    """
    seen = set()
    for path in paths(code):
        if not drops(code, path.last):
            continue
        chain = [path.last, *islice(_before(path), 2)]
        if len(chain) == 1 or path.last.node in seen:
            continue
        if drops(code, chain[1]):
            seen.add(path.last.node)
            if len(chain) == 3 and drops(code, chain[2]):
                continue  # a longer chain is reported at its second dropout
            yield Hit(
                path.last.node,
                f"{kind(path.last)} right after {kind(chain[1])}: together they drop more than "
                "either says",
                "keep one, with the intended rate",
            )


def _before(path: Path) -> Iterator[Layer]:
    """Yields the layers before one; whole slices are dropped along another axis after a change."""
    for layer in path.before():
        if not (reshapes(layer) and kind(path.last) in _ELEMENTS):
            yield layer
