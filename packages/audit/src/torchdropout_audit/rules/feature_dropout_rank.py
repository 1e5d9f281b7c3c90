"""TD144: a feature dropout of the wrong rank."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ..code import RNNS, Code, words
from ._paths import paths
from ._rule import Hit, rule
from ._sequences import Layer, Path, called, drops, kind

BROKEN = """\
from torch import nn

net = nn.Sequential(
    nn.Conv1d(4, 8, 3),
    nn.ReLU(),
    nn.Dropout2d(0.2),
)
"""
FIXED = """\
from torch import nn

net = nn.Sequential(
    nn.Conv1d(4, 8, 3),
    nn.ReLU(),
    nn.Dropout1d(0.2),
)
"""

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
_MOST_BEFORE = 20  # layers that are looked at before one
# What the name of a layer of another file says of its dimensions, and that it is an RNN.
_SAID = re.compile(r"(?i)(?:conv|block|pool|res(?:net|idual)?)\w*?([123])d(?:_?block|_?layer)?")
_RNN = frozenset(("rnn", "lstm", "gru", "bilstm", "bigru", "birnn"))


@rule(
    "TD144",
    group="order",
    severity="advice",
    broken=BROKEN,
    fixed=FIXED,
    evidence="pytorch#69801, pytorch#77081 (Dropout2d on 3-D input), braindecode#1111.",
)
def feature_dropout_rank(code: Code) -> Iterator[Hit]:
    """Dropout1d, 2d and 3d have as many spatial dimensions as the layers next to them.

    The rule looks at the nearest layer before the dropout that determines the dimensions, or at a
    `view`, `reshape`, `flatten` or `mean` that makes a matrix. Only layers that keep a shape
    (activations, LayerNorm, plain dropout), or that change the order of its dimensions, such as
    `transpose`, may be in between. The input of a BatchNorm1d right after a Linear is a matrix. If
    the layer before the dropout says nothing about the dimensions, the rule looks at the nearest
    one after it. A `view` or a `permute` with all dimensions, an RNN, a `bmm`, or a layer whose
    name says it (`ResBlock1d`) gives the number of dimensions, which is followed through indices,
    `squeeze` and `unsqueeze`.

    These modules drop whole slices of dimension 1, and use the number of dimensions to tell whether
    there is a batch. Measured on torch 2.13: Dropout2d warns on 3-D input and drops as Dropout1d
    would; Dropout3d mistakes the samples of 4-D input for channels and drops whole samples, and
    Dropout1d does the same with 2-D input; Dropout1d fails on 4-D input. Linear, RNN and Embedding
    have their features in the last dimension: after them, dimension 1 is time, and without a time
    dimension whole samples are dropped.

    To fix: use the dropout with as many dimensions as the layer before it; after a Linear or an
    RNN, use plain Dropout, or transpose first.
    """
    seen = set()
    before: dict[ast.AST, tuple[Layer, Layer]] = {}  # a layer, and one that takes what it gives
    for path in paths(code):
        dropout = _FEATURE.fullmatch(kind(path.last))
        if dropout is None:
            if _SPATIAL.fullmatch(kind(path.last)) and (giver := _giver(path)[0]) is not None:
                before.setdefault(giver.node, (giver, path.last))
            continue
        if path.last.node in seen or not drops(code, path.last):
            continue
        giver, between = _giver(path)
        if giver is None or not (giver.name.startswith("torch.") or giver.name in RNNS):
            giver = Layer(path.last.node)
        spatial = _SPATIAL.fullmatch(kind(giver))
        if spatial is not None and spatial[1] != dropout[1]:
            seen.add(path.last.node)
            fault = _fault(int(dropout[1]), int(spatial[1]))
            yield Hit(
                path.last.node,
                f"{kind(path.last)} after {kind(giver)}: {fault}",
                kind(path.last).replace(dropout[1], spatial[1]),
            )
        elif "BatchNorm1d" in between or _shaped(code, giver) == 2:
            seen.add(path.last.node)
            said = f"{kind(path.last)} after {kind(giver)}: {_fault(int(dropout[1]), 0)}"
            yield Hit(path.last.node, said, "Dropout")
        elif _TURNS.isdisjoint(between) and (
            kind(giver) in ("Linear", "Embedding") or giver.name in RNNS
        ):
            seen.add(path.last.node)
            yield Hit(
                path.last.node,
                f"{kind(path.last)} after {kind(giver)}: it drops slices of dimension 1, and the "
                "features are in the last",
                "plain dropout, or transpose first",
            )
        elif (rank := _rank(code, path)) is not None and _is_wrong(rank, int(dropout[1])):
            seen.add(path.last.node)
            fault = _fault(int(dropout[1]), rank - 2)
            right = "Dropout" if rank < 3 else kind(path.last).replace(dropout[1], str(rank - 2))
            yield Hit(path.last.node, f"{kind(path.last)} on {rank}-D input: {fault}", right)
    for layer, taker in before.values():
        dropout, spatial = _FEATURE.fullmatch(kind(layer)), _SPATIAL.fullmatch(kind(taker))
        if dropout is None or spatial is None or dropout[1] == spatial[1]:
            continue
        if layer.node not in seen and taker.name.startswith("torch.") and drops(code, layer):
            fault = _fault(int(dropout[1]), int(spatial[1]))
            yield Hit(
                layer.node,
                f"{kind(layer)} before {kind(taker)}: {fault}",
                kind(layer).replace(dropout[1], spatial[1]),
            )


def _giver(path: Path) -> tuple[Layer | None, set[str]]:
    """Returns the nearest layer that determines the dimensions, and the kinds of those between.

    None if an option may determine them. A BatchNorm1d takes a matrix, too, and only what is before
    it tells.
    """
    between: set[str] = set()
    norm: Layer | None = None
    for each in path.perhaps():
        name = kind(each.last)
        if name in _SAME or (each.loose and name.startswith("BatchNorm")):
            continue
        if not each.loose and name == "Linear" and norm is not None:
            return each.last, between | {"BatchNorm1d"}
        if norm is not None:
            break
        if not each.loose and name == "BatchNorm1d":
            norm = each.last
        elif each.loose or name not in _TURNS:
            return None if each.loose else each.last, between
        else:
            between.add(name)
    return norm, between


def _is_wrong(rank: int, dropout: int) -> bool:
    """Whether a value has another number of dimensions than a batch for a dropout has."""
    return 1 < rank < dropout + 2 or (dropout == 1 and rank == 4)


def _rank(code: Code, path: Path) -> int | None:
    """Returns the number of dimensions of what a layer gets, if what was before it says so."""
    more = 0  # dimensions that it has got since
    each = path.earlier
    for _ in range(_MOST_BEFORE):
        if each is None:
            return None
        layer, name = each.last, kind(each.last)
        known = _known_rank(code, layer)
        if each.loose and name not in _SAME:
            return None
        if known is not None:
            return known + more
        if name == "unsqueeze":
            more += 1
        elif name == "squeeze" and isinstance(layer.node, ast.Call) and layer.node.args:
            more -= 1
        elif name == "select":
            added = _added(code, layer)
            if added is None:
                return None
            more += added
        elif name not in _SAME and name not in _TURNS and name != "Linear":
            return None
        each = each.earlier
    return None


def _known_rank(code: Code, layer: Layer) -> int | None:
    """Returns the number of dimensions that the result of a layer has."""
    spatial = _SPATIAL.fullmatch(kind(layer))
    if spatial is not None:
        # A BatchNorm1d takes a matrix, too.
        return None if kind(layer) == "BatchNorm1d" else int(spatial[1]) + 2
    if layer.name in RNNS and "Cell" not in layer.name:
        return 3
    if layer.name.startswith("torch."):
        return _shaped(code, layer)
    said = called(code, layer)
    dims = _SAID.fullmatch(said)
    if dims is not None:
        return int(dims[1]) + 2
    parent = next(code.parents(layer.node), None)
    is_pair = isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Tuple)
    is_rnn = is_pair and not _RNN.isdisjoint(words(said)) and "cell" not in words(said)
    return 3 if is_rnn else None


def _shaped(code: Code, layer: Layer) -> int | None:
    """Returns the number of dimensions that a `view`, a `permute` or a `bmm` gives."""
    name = kind(layer)
    if name == "bmm":
        return 3
    if _flattens(code, layer):
        return 2
    if name not in ("view", "reshape", "permute") or layer.call is None:
        return None
    is_method = layer.call.name is None
    given = layer.call.node.args[0 if is_method else 1 :]
    is_one = len(given) == 1
    if is_one and isinstance(given[0], (ast.Tuple, ast.List)):
        given = given[0].elts
    elif is_one or not is_method:
        return None  # the shape of another tensor, or a type
    is_open = any(isinstance(each, ast.Starred) for each in given) or layer.call.node.keywords
    return None if is_open else len(given)


def _added(code: Code, layer: Layer) -> int | None:
    """Returns how many dimensions an index adds; None if it may be a tensor."""
    if not isinstance(layer.node, ast.Subscript):
        return None
    index = layer.node.slice
    added = 0
    for each in index.elts if isinstance(index, ast.Tuple) else [index]:
        value = None if isinstance(each, ast.Slice) else code.value(each)
        if isinstance(value, int) and not isinstance(value, bool):
            added -= 1
        elif isinstance(each, ast.Constant) and value is None:
            added += 1
        elif not isinstance(each, ast.Slice):
            return None
    return added


def _flattens(code: Code, layer: Layer) -> bool:
    """Whether a layer leaves two dimensions: `torch.flatten(x, 1)`, `x.mean((2, 3))`."""
    if layer.call is None:
        return False
    node = layer.call.node
    is_method = layer.call.name is None
    given = node.args if is_method or kind(layer) == "Flatten" else node.args[1:]
    if any(isinstance(each, ast.Starred) for each in node.args):
        return False
    if kind(layer) in ("flatten", "Flatten"):
        ends = {k.arg: k.value for k in node.keywords}
        ends.update(zip(("start_dim", "end_dim"), given, strict=False))
        first = 1 if kind(layer) == "Flatten" else 0
        start, end = (ends.get("start_dim"), ends.get("end_dim"))
        return (first if start is None else code.value(start)) == 1 and (
            end is None or code.value(end) == -1
        )
    if kind(layer) != "mean" or len(given) != 1:
        return False
    # Over the two dimensions of an image.
    return isinstance(given[0], (ast.Tuple, ast.List)) and len(given[0].elts) == 2


def _fault(dropout: int, given: int) -> str:
    """Returns what a dropout does to a batch with another number of spatial dimensions."""
    if dropout == 1 and given:
        return f"it fails on {given + 2}-D input"
    if dropout != 2:
        return f"it takes {given + 2}-D input as unbatched and drops whole samples"
    if given == 0:
        return "torch warns about 2-D input, and drops single elements"
    return f"torch warns about {given + 2}-D input, and will treat it differently"
