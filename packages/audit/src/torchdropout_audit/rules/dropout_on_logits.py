"""TD142: a dropout on logits."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import chain

from ..code import Call, Code, words
from ._grown import grown
from ._rule import Hit, rule
from ._sequences import Layer, Path, drops, kind, paths, reshapes

BROKEN = """\
from torch import nn

classifier = nn.Sequential(
    nn.Linear(512, 128),
    nn.ReLU(),
    nn.Linear(128, 10),
    nn.Dropout(0.5),
)
"""
FIXED = """\
from torch import nn

classifier = nn.Sequential(
    nn.Linear(512, 128),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Linear(128, 10),
)
"""

_SOFTMAX = frozenset(
    ("Softmax", "LogSoftmax", "Softmax2d", "softmax", "log_softmax", "gumbel_softmax")
    + ("cross_entropy", "binary_cross_entropy_with_logits", "CrossEntropyLoss")
    + ("BCEWithLogitsLoss",)
)
_PROJECTIONS = re.compile(r"(?:Lazy)?(?:Linear|Conv[123]d|Bilinear)")
_CLASSES = frozenset(
    ("class", "classes", "label", "labels", "categories", "vocab", "vocabulary", "logits")
    + ("tagset", "nclass", "nclasses", "ncls", "tags", "ntoken", "ntokens", "nlabels", "ntags")
)
_HEADS = frozenset(("classifier", "logits", "logit"))
_RESULTS = _HEADS | {"pred", "preds", "prediction", "predictions", "emissions"}


@rule(
    "TD142",
    group="order",
    severity="advice",
    broken=BROKEN,
    fixed=FIXED,
    evidence="Parakeet#74 (dropout put before a softmax as a fix), reverted by Parakeet#75.",
)
def dropout_on_logits(code: Code) -> Iterator[Hit]:
    """No dropout acts on logits.

    The rule looks at a dropout before a softmax or a cross entropy, with nothing but a shape, a
    scale or a mask in between, and at one right after a Linear or a convolution that is known to
    return logits: it has as many outputs as there are classes, labels or words, its name or that of
    the result contains classifier or logits, or it ends a whole model in a variable. The Linear and
    dropout at the end of a transformer's feed-forward block are not reported: their output is added
    to something.

    A dropped logit becomes 0, which is a score like any other: the right class loses its score at
    random, the loss cannot become small, and no gradient flows through the dropped logit. In an
    attention a score of 0 does not mean "no attention" either.

    To fix: put the dropout before the last layer; in an attention, after the softmax.
    """
    seen = set()
    for path in chain(paths(code), grown(code)):
        before = next(path.before(), None)
        if before is None:
            continue
        if kind(path.last) in _SOFTMAX:
            # A shape, a scale and a mask leave a dropped score as it is.
            given = (each for each in path.before() if not _leaves(each))
            before = next(given, before)
            if not drops(code, before):
                continue
            hit = Hit(
                before.node,
                f"{kind(before)} right before {kind(path.last)}: a dropped logit is 0, a score "
                "like any other",
                "put it before the last layer, or after the softmax of an attention",
            )
        elif (
            (path.ends or _is_named(path))
            and drops(code, path.last)
            and _PROJECTIONS.fullmatch(kind(before))
            and before.call is not None
            and _are_logits(code, path, before.call)
        ):
            hit = Hit(
                path.last.node,
                f"{kind(path.last)} on the logits: a dropped logit is 0, a score like any other",
                f"put it before {kind(before)}",
            )
        elif (
            kind(path.last) in ("sigmoid", "Sigmoid")
            and drops(code, before)
            and path.earlier is not None
            and path.earlier.earlier is not None
            and _PROJECTIONS.fullmatch(kind(path.earlier.earlier.last))
            and _has_classes(code, path.earlier.earlier.last)
        ):
            hit = Hit(
                before.node,
                f"{kind(before)} on the logits: a dropped logit is 0, a score like any other",
                f"put it before {kind(path.earlier.earlier.last)}",
            )
        else:
            continue
        if hit.node not in seen:
            seen.add(hit.node)
            yield hit


def _leaves(layer: Layer) -> bool:
    return reshapes(layer) or kind(layer) in ("mul", "masked_fill", "where", "contiguous", "float")


def _has_classes(code: Code, layer: Layer) -> bool:
    """Whether a projection before a sigmoid returns logits: one, or one for each class."""
    if layer.call is None:
        return False
    sizes = [*layer.call.node.args[1:2], *(k.value for k in layer.call.node.keywords)]
    is_one = bool(sizes) and code.value(sizes[0]) == 1
    return is_one or _are_classes(layer.call)


def _are_classes(projection: Call) -> bool:
    """Whether a projection has as many outputs as there are classes."""
    sizes = [*projection.node.args[1:2], *(k.value for k in projection.node.keywords)]
    return any(_CLASSES.intersection(words(each)) for size in sizes for each in _names(size))


def _is_named(path: Path) -> bool:
    """Whether the result has a name that says what it is: `logits = self.drop(self.fc(x))`."""
    whole = path.whole
    if not isinstance(whole, ast.Assign) or whole.value is not path.last.node:
        return False
    target = whole.targets[0]
    return isinstance(target, ast.Name) and bool(_RESULTS & set(words(target.id)))


def _are_logits(code: Code, path: Path, projection: Call) -> bool:
    if _are_classes(projection):
        return True
    if _is_named(path):
        return True
    applied = path.earlier.last.node if path.earlier is not None else None
    if isinstance(path.whole, ast.Return) and isinstance(applied, ast.Call):
        func = applied.func
        return isinstance(func, ast.Attribute) and bool(_HEADS & set(words(func.attr)))
    parent = next(code.parents(path.whole), None)
    if isinstance(parent, ast.Assign) and isinstance(path.whole, ast.Call):
        target = parent.targets[0]
        if isinstance(target, ast.Name):
            return code.function_of(path.whole) is None or bool(_HEADS & set(words(target.id)))
        return isinstance(target, ast.Attribute) and bool(_HEADS & set(words(target.attr)))
    return False


def _names(expr: ast.expr) -> Iterator[str]:
    for node in ast.walk(expr):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
