"""TD141: a BatchNorm after a dropout."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ..code import Code
from ._dropouts import one_line
from ._excuses import exclude
from ._flow import flow
from ._layers import has_dropout, kind
from ._rule import Hit, rule

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
_DROP = "    nn.Dropout(0.5),\n"
_LAST = "    nn.Linear(64, 10),\n"
FIXED = BROKEN.replace(_DROP, "").replace(_LAST, _DROP + _LAST)

# Or the name of a part in another file, or of its option, says that it has one: `bn=True`.
_SAYS_NORM = re.compile(r"BatchNorm|batch_norm|[a-z]BN|BN[A-Z]|\b(?:\w+_)?(?:BN|bn)(?:_\w+)?\b")


@rule("TD141", "order", BROKEN, FIXED, severity="advice")
def dropout_before_batchnorm(code: Code) -> Iterator[Hit]:
    """No BatchNorm comes after a dropout.

    The rule looks at the layers of a Sequential, or of a list that is passed to one, and at the
    layers that a function applies in turn to a value. It follows the value through sums and
    concatenations, options such as `if self.use_bn`, methods of the class, Modules of the project,
    and the next iteration of a loop. Layers in between make no difference, except another
    normalisation.

    These are not reported: alpha dropout, which keeps the variance; dropout that is on in
    evaluation, too; stochastic depth; the dropout of an attention's weights; functions for
    predictions (`infer`); and a BatchNorm that is under `torch.no_grad`, that runs only where the
    rate is 0, or that divides by the variance of the batch in eval, too.

    Dropout raises the variance in training, not in eval. BatchNorm stores the variance of training
    and divides by it in eval, where it is too large: behind a standard normal input, a ReLU and a
    dropout of p=0.5, the output of BatchNorm has a standard deviation of 1 in training and of 0.64
    in eval.

    To fix: put the dropout after the last BatchNorm, or use LayerNorm or GroupNorm, which store no
    statistics.

    Seen in: Li et al. 2018, arXiv 1801.05134 (on DenseNet, ResNet, ResNeXt and Wide ResNet);
    mlcolvar#205.
    """
    if not (_SAYS_NORM.search(code.text) and has_dropout(code)):
        return
    for before, after in flow(code).found.values():
        if exclude(code, before.node, after.node):
            continue
        norm = kind(after) or "BatchNorm"  # one of another library has no qualified name
        func = after.node.func if isinstance(after.node, ast.Call) else after.node
        said = "" if code.name(func) else f"{one_line(code, func)}, "
        yield Hit(
            before.node,
            f"{kind(before)} before {norm} ({said}line {after.node.lineno}), which stores the "
            "variance of dropped values and divides by it in eval",
            "put the dropout after the last BatchNorm",
        )
