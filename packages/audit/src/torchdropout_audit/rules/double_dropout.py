"""TD143: one dropout right after another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import islice

from ..code import Code, Function
from ._excuses import exclude
from ._paths import paths, values
from ._rule import Hit, rule
from ._sequences import Layer, Path, drops, kind, reshapes
from ._values import Made, Maker

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

    The rule looks at the layers of a Sequential, or of a list that grows and becomes one, and at
    what a function applies in turn to one value, also by an option, or where a method or a Module
    of the file ends, or begins, with a dropout, and in the next turn of a loop; `view`, `squeeze`,
    `x[:, 0]` and other changes of the shape may be in between. A chain of several dropouts is
    reported once, at the second.

    Two dropouts of p and q drop 1 - (1 - p)(1 - q): twice 0.5 drops 0.75, and no number in the
    source says so. Most often one of them was left behind when a layer between them was removed.

    To fix: keep one, with the intended rate.
    """
    seen = set()
    for path in paths(code):
        if not drops(code, path.last) or path.last.node in seen:
            continue
        found = [path.last, *islice(_before(path), 2)]
        if len(found) == 1:
            tail = _tail(code, path)
            found += [] if tail is None else [tail]
        if len(found) > 1 and drops(code, found[1]) and found[1].node is not path.last.node:
            if exclude(code, path.last.node, found[1].node):
                continue
            seen.add(path.last.node)
            if len(found) == 3 and drops(code, found[2]):
                continue  # a longer chain is reported at its second dropout
            yield Hit(
                path.last.node,
                f"{kind(path.last)} right after {kind(found[1])}: together they drop more than "
                "either says",
                "keep one, with the intended rate",
            )


def _before(path: Path) -> Iterator[Layer]:
    """Yields the layers before one; whole slices are dropped along another axis after a change."""
    for each in path.perhaps():
        layer = each.last
        if each.loose and not layer.name.endswith("ropout"):
            return
        if not (reshapes(layer) and kind(path.last) in _ELEMENTS):
            yield layer


def _tail(code: Code, path: Path) -> Layer | None:
    """Returns the dropout that ends a method or a Module of the file right before a dropout."""
    earlier = path.earlier
    if earlier is None or earlier.loose or earlier.last.name:
        return None
    node = earlier.last.node
    if not isinstance(node, ast.Call):
        return None
    known, cls = values(code), code.class_of(node)
    for value in known.of(node.func, cls):
        function = value.target if isinstance(value, Maker) else None
        if isinstance(value, Made):
            function, cls = value.cls.method("forward"), value.cls
        call = _result(function) if isinstance(function, Function) else None
        if call is None:
            continue
        said = known.reader.calls.get(call)
        if said is not None and said.name is not None:
            layers: list[Layer] = [Layer(call, said.name, said)]
        else:
            layers = [v for v in known.of(call.func, cls) if isinstance(v, Layer)]
        if len(layers) == 1 and drops(code, layers[0]):
            return layers[0]
    return None


def _result(function: Function) -> ast.Call | None:
    """Returns the call whose result a function returns at its end, at once or by a name."""
    *before, last = function.node.body
    given = last.value if isinstance(last, ast.Return) else None
    if isinstance(given, ast.Name) and before and isinstance(before[-1], ast.Assign):
        target = before[-1].targets[0]
        is_it = isinstance(target, ast.Name) and target.id == given.id
        given = before[-1].value if is_it else None
    return given if isinstance(given, ast.Call) else None
