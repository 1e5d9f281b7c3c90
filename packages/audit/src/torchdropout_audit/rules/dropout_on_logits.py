"""TD142: a dropout on logits."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ..code import Call, Code, words
from ..code.nodes import said_of
from ._flow import flow
from ._layers import Chain, Layer, has_dropout, kind, reshapes
from ._rule import Hit, rule

BROKEN = """\
from torch import nn

classifier = nn.Sequential(
    nn.Linear(512, 128),
    nn.ReLU(),
    nn.Linear(128, 10),
    nn.Dropout(0.5),
)
"""
FIXED = BROKEN.replace("    nn.Dropout(0.5),\n", "").replace(
    "ReLU(),", "ReLU(),\n    nn.Dropout(0.5),"
)

_SOFTMAX = frozenset(
    ("Softmax", "LogSoftmax", "Softmax2d", "softmax", "log_softmax", "gumbel_softmax")
    + ("cross_entropy", "binary_cross_entropy_with_logits", "CrossEntropyLoss")
    + ("BCEWithLogitsLoss",)
)
_SIGMOID = frozenset(("sigmoid", "Sigmoid"))
_PROJECTIONS = re.compile(r"(?:Lazy)?(?:Linear|Conv[123]d|Bilinear)")
# A scale, a mask and a ReLU leave a score of 0 as it is.
_LEAVING = frozenset(
    ("mul", "masked_fill", "where", "contiguous", "float", "relu", "relu_", "ReLU")
)
_CLASSES = frozenset(("class", "classes", "label", "labels", "vocab", "nclass", "ncls"))
_HEADS = frozenset(("classifier", "logits", "logit"))
_ZERO = "a dropped logit is 0, a score like any other"
_SIZES = ("out_features", "out_channels")


@rule("TD142", "order", BROKEN, FIXED, severity="advice")
def dropout_on_logits(code: Code) -> Iterator[Hit]:
    """No dropout acts on logits.

    The rule reports a dropout before a softmax or a cross entropy, with at most a change of shape,
    a scale, a mask or a ReLU in between, and one between a Linear or a convolution and a sigmoid
    that is returned. It also reports a dropout right after a Linear or a convolution whose result a
    function returns, or that ends a Sequential, if it is shown to give logits: it has as many
    outputs as there are classes, labels or words of a vocabulary, or it is named classifier or
    logits.

    A dropped logit becomes 0, which is a score like any other: the right class loses its score at
    random, and no gradient flows through it. In an attention, too, a score of 0 does not mean "no
    attention".

    To fix: put the dropout before the last layer; in an attention, after the softmax.

    Seen in: Parakeet#74 (dropout put before a softmax as a fix), reverted by Parakeet#75.
    """
    seen = set()
    for hit in (*_before_softmax(code), *_at_end(code)) if has_dropout(code) else ():
        if hit.node not in seen:
            seen.add(hit.node)
            yield hit


def _before_softmax(code: Code) -> Iterator[Hit]:
    for chains in flow(code).applied:
        last, ways = chains[0][-1], [_unchanged(chain[:-1]) for chain in chains]
        if kind(last) in _SOFTMAX and all(way and way[-1].drops for way in ways):
            dropout = ways[0][-1]
            said = f"{kind(dropout)} right before {kind(last)}: {_ZERO}"
            hint = "put it before the last layer, or after the softmax of an attention"
            yield Hit(dropout.node, said, hint)


def _at_end(code: Code) -> Iterator[Hit]:
    """Yields the dropouts of logits that a function returns or a `Sequential` ends with."""
    for node, chain in ((node, chain) for node, chains in flow(code).ends for chain in chains):
        end = _unchanged(chain)
        is_sigmoid = bool(end) and kind(end[-1]) in _SIGMOID and isinstance(node, ast.Return)
        given = _unchanged(end[:-1]) if is_sigmoid else end
        if len(given) < 2 or not given[-1].drops:
            continue
        before = given[-2]
        if before.call is None or not _PROJECTIONS.fullmatch(kind(before)):
            continue
        if is_sigmoid or _are_classes(code, before.call) or _is_head(code, node, before):
            said = f"{kind(given[-1])} on the logits: {_ZERO}"
            yield Hit(given[-1].node, said, f"put it before {kind(before)}")


def _unchanged(chain: Chain) -> Chain:
    """Returns the layers without those at the end that leave a score of 0 as it is."""
    while chain and (reshapes(chain[-1]) or kind(chain[-1]) in _LEAVING):
        chain = chain[:-1]
    return chain


def _are_classes(code: Code, projection: Call) -> bool:
    """Whether a projection has as many outputs as there are classes."""
    name = (projection.name or "").rpartition(".")[2]
    place = 0 if name.startswith("Lazy") else 2 if name == "Bilinear" else 1
    by_name = (k.value for k in projection.node.keywords if k.arg in _SIZES)
    sizes = (*projection.node.args[place : place + 1], *by_name)
    return any(not _CLASSES.isdisjoint(words(code.text_of(each))) for each in sizes)


def _is_head(code: Code, end: ast.AST, projection: Layer) -> bool:
    """Whether a layer, or the `Sequential` that it ends, has the name of what gives logits."""
    named: list[ast.expr] = []
    if isinstance(projection.node, ast.Call):
        named.append(projection.node.func)
    parent = next(code.parents(end), None)
    if isinstance(end, ast.Call) and isinstance(parent, ast.Assign):
        named += parent.targets
    return any(not _HEADS.isdisjoint(words(said_of(each))) for each in named)
