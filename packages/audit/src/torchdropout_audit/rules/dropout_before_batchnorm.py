"""TD141: a BatchNorm after a dropout."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import chain

from ..code import Code
from ._grown import grown
from ._rule import Hit, rule
from ._sequences import Layer, drops, kind, paths

BROKEN = """\
from torch import nn

net = nn.Sequential(
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Linear(64, 64),
    nn.BatchNorm1d(64),
    nn.ReLU(),
    nn.Linear(64, 10),
)
"""
FIXED = """\
from torch import nn

net = nn.Sequential(
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Linear(64, 64),
    nn.BatchNorm1d(64),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Linear(64, 10),
)
"""

_BATCH_NORMS = frozenset(
    ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm", "LazyBatchNorm1d")
    + ("LazyBatchNorm2d", "LazyBatchNorm3d")
)


@rule(
    "TD141",
    group="order",
    severity="advice",
    broken=BROKEN,
    fixed=FIXED,
    evidence="Li et al. 2018, arXiv 1801.05134 (on DenseNet, ResNet, ResNeXt and Wide ResNet); "
    "mlcolvar#205.",
)
def dropout_before_batchnorm(code: Code) -> Iterator[Hit]:
    """No BatchNorm comes after a dropout.

    The rule looks at the layers of a Sequential, or of a list that grows and becomes one, and at
    what a function applies in turn to one value, options such as `if self.use_bn` and methods of
    the class included. Layers in between make no difference, except another normalisation. Alpha
    dropout keeps the variance and is not reported.

    Dropout raises the variance in training, not in eval. BatchNorm stores the variance of training
    and divides by it in eval, where it is too large: after a ReLU and a dropout of p=0.5, the
    output of BatchNorm has a standard deviation of 1 in training and of 0.64 in eval.

    To fix: put the dropout after the last BatchNorm, or use LayerNorm or GroupNorm, which store no
    statistics.
    """
    seen = set()
    for path in chain(paths(code), grown(code)):
        if kind(path.last) not in _BATCH_NORMS or not _keeps_statistics(code, path.last):
            continue
        for earlier in path.perhaps():
            before = earlier.last
            if "Norm" in kind(before) or "_norm" in kind(before):
                break
            if drops(code, before) and "lpha" not in kind(before):
                if before.node not in seen and not _exclude(code, before.node, path.last.node):
                    seen.add(before.node)
                    yield Hit(
                        before.node,
                        f"{kind(before)} before {kind(path.last)}, which stores the variance of "
                        "dropped values and divides by it in eval",
                        "put the dropout after the last BatchNorm",
                    )
                break


def _exclude(code: Code, one: ast.AST, other: ast.AST) -> bool:
    """Whether the options of two layers exclude each other: `if use_bn` and `if not use_bn`."""
    first, second = _options(code, one), _options(code, other)
    return any(f"not {each}" in second for each in first) or any(
        f"not {each}" in first for each in second
    )


def _options(code: Code, node: ast.AST) -> set[str]:
    """Returns the tests under which a node runs, as text."""
    found = set()
    for parent in code.parents(node):
        if isinstance(parent, ast.If):
            said = code.text_of(parent.test)
            is_body = code.is_in(node, parent, "body")
            found.add(said if is_body else f"not {said}")
        node = parent
    return found


def _keeps_statistics(code: Code, layer: Layer) -> bool:
    given = layer.call.argument("track_running_stats") if layer.call is not None else None
    return not (isinstance(given, ast.expr) and code.value(given) is False)
