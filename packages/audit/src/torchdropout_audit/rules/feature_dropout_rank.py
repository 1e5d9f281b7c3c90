"""TD144: a feature dropout of the wrong rank."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ..code import RNNS, Code
from ._flow import flow
from ._layers import Chain, Layer, has_dropout, kind
from ._rule import Hit, rule

BROKEN = """\
from torch import nn

net = nn.Sequential(
    nn.Conv1d(4, 8, 3),
    nn.ReLU(),
    nn.Dropout2d(0.2),
)
"""
FIXED = BROKEN.replace("Dropout2d", "Dropout1d")

_FEATURE = re.compile(r"[dD]ropout([123])d")
_SPATIAL = re.compile(
    r"(?:Lazy)?(?:Conv|ConvTranspose|BatchNorm|InstanceNorm|MaxPool|AvgPool|LPPool|AdaptiveAvgPool"
    r"|AdaptiveMaxPool|ReflectionPad|ReplicationPad|ZeroPad|ConstantPad|conv|conv_transpose|max_pool"
    r"|avg_pool|lp_pool|adaptive_avg_pool|adaptive_max_pool)([123])d"
)
_SAME = frozenset((
    "ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish",
    "Sigmoid", "Tanh", "Softplus", "Softsign", "Hardswish", "Hardsigmoid", "Hardtanh", "Identity",
    "LayerNorm", "RMSNorm", "GroupNorm", "Dropout", "AlphaDropout", "relu", "relu6", "leaky_relu",
    "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid", "tanh",
    "softplus", "hardswish", "dropout", "alpha_dropout", "contiguous", "float", "activation",
))  # fmt: skip
_TURNS = frozenset(("transpose", "permute", "swapaxes", "swapdims", "movedim"))


@rule("TD144", "order", BROKEN, FIXED, severity="advice")
def feature_dropout_rank(code: Code) -> Iterator[Hit]:
    """Dropout1d, 2d and 3d have as many spatial dimensions as the layers next to them.

    The rule looks at the nearest layer before the dropout that determines the dimensions: a
    convolution, a pooling, a `flatten`, a `view` or `permute` with all dimensions, or a `bmm`. Only
    layers that keep a shape, or that change the order of its dimensions, may be in between. If the
    layer before the dropout says nothing about the dimensions, the rule looks at the nearest one
    after it.

    These modules drop whole slices of dimension 1, and use the number of dimensions to tell whether
    there is a batch. On torch 2.13 Dropout2d warns on 3-D input and drops as Dropout1d would;
    Dropout3d on 4-D input and Dropout1d on 2-D input drop whole samples; Dropout1d fails on 4-D
    input. Linear, RNN and Embedding have their features in the last dimension: after them,
    dimension 1 is time, and without a time dimension whole samples are dropped.

    To fix: use the dropout with as many dimensions as the layer before it; after a Linear or an
    RNN, use plain Dropout, or transpose first.

    Seen in: pytorch#69801, pytorch#77081 (Dropout2d on 3-D input), braindecode#1111.
    """
    seen = set()
    applied = flow(code).applied if has_dropout(code) else {}
    chains = [ways[0] for ways in applied if len(ways) == 1]
    for chain in chains:
        last = chain[-1]
        dropout = _FEATURE.fullmatch(kind(last))
        if dropout is not None and last.drops and last.node not in seen:
            hit = _hit(code, last, int(dropout[1]), chain[:-1])
            if hit is not None:
                seen.add(last.node)
                yield hit
    for chain in chains:
        spatial = _SPATIAL.fullmatch(kind(chain[-1]))
        before = next((e for e in reversed(chain[:-1]) if kind(e) not in _SAME), None)
        dropout = None if before is None else _FEATURE.fullmatch(kind(before))
        if before is None or before.node in seen or not before.drops:
            continue
        if spatial and dropout and spatial[1] != dropout[1]:
            seen.add(before.node)
            fault = _fault(int(dropout[1]), int(spatial[1]))
            said = f"{kind(before)} before {kind(chain[-1])}: {fault}"
            yield Hit(before.node, said, kind(before).replace(dropout[1], spatial[1]))


def _hit(code: Code, last: Layer, dropout: int, before: Chain) -> Hit | None:
    """Returns what is wrong with a dropout of slices behind some layers."""
    giver, rank = _given(code, before)
    if giver is None:
        return None
    if rank is None:
        said = "it drops slices of dimension 1, and the features are in the last"
        said = f"{kind(last)} after {kind(giver)}: {said}"
        return Hit(last.node, said, "plain dropout, or transpose first")
    if not (1 < rank < dropout + 2 or rank > dropout + 2):
        return None
    spatial = _SPATIAL.fullmatch(kind(giver))
    said = f"after {kind(giver)}" if spatial else f"on {rank}-D input"
    right = "Dropout" if rank < 3 else kind(last).replace(str(dropout), str(rank - 2))
    return Hit(last.node, f"{kind(last)} {said}: {_fault(dropout, rank - 2)}", right)


def _given(code: Code, before: Chain) -> tuple[Layer | None, int | None]:
    """Returns the nearest layer that determines the dimensions, and how many there are then.

    None for a number if the layer has its features in the last dimension.
    """
    is_turned = False
    norm: Layer | None = None
    for layer in reversed(before):
        name = kind(layer)
        spatial = _SPATIAL.fullmatch(name)
        rank = _shaped(code, layer)
        if rank is not None:
            return layer, rank
        if name == "BatchNorm1d":  # it takes a matrix, too
            norm = layer
        elif spatial is not None:
            return layer, int(spatial[1]) + 2
        elif name == "Linear" and norm is not None:
            return layer, 2
        elif name in ("Linear", "Embedding") or layer.name in RNNS:
            return (None if is_turned else layer), None
        elif name in _TURNS:
            is_turned = True
        elif name not in _SAME:
            break
    return norm, 3


def _shaped(code: Code, layer: Layer) -> int | None:
    """Returns the number of dimensions that a `view`, a `permute`, a `flatten` or a `bmm` gives."""
    name = kind(layer)
    if name == "bmm":
        return 3
    if name not in ("view", "reshape", "permute", "flatten", "Flatten") or layer.call is None:
        return None
    if name == "Flatten":  # whose `start_dim` is 1 by default
        node = layer.call.node
        return 2 if not node.keywords and [code.value(a) for a in node.args] in ([], [1]) else None
    given = layer.call.node.args[0 if layer.call.name is None else 1 :]
    if name == "flatten":
        return 2 if len(given) == 1 and code.value(given[0]) == 1 else None
    if len(given) == 1:  # the dimensions in a list, or the shape of another tensor
        given = given[0].elts if isinstance(given[0], (ast.Tuple, ast.List)) else []
    is_open = any(isinstance(each, ast.Starred) for each in given)
    return None if is_open or not given else len(given)


def _fault(dropout: int, given: int) -> str:
    """Returns what a dropout does to a batch with another number of spatial dimensions."""
    if dropout == 1 and given:
        return f"it fails on {given + 2}-D input"
    if dropout != 2:
        return f"it takes {given + 2}-D input as unbatched and drops whole samples"
    if given == 0:
        return "torch warns about 2-D input, and drops single elements"
    return f"torch warns about {given + 2}-D input, and will treat it differently"
