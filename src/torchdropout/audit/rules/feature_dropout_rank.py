"""TD144 feature-dropout-rank."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..code import Code
from ._rule import Hit, rule
from ._sequences import Layer, kind, paths

BROKEN = """
from torch import nn

net = nn.Sequential(
    nn.Conv1d(4, 8, 3),
    nn.ReLU(),
    nn.Dropout2d(0.2),
)
"""
MENDED = """
from torch import nn

net = nn.Sequential(
    nn.Conv1d(4, 8, 3),
    nn.ReLU(),
    nn.Dropout1d(0.2),
)
"""

_FEATURE = re.compile(r"[dD]ropout([123])d")
_SPATIAL = re.compile(
    r"(?:Lazy)?(?:Conv|ConvTranspose|BatchNorm|InstanceNorm|MaxPool|AvgPool|AdaptiveAvgPool"
    r"|AdaptiveMaxPool|LPPool|ReflectionPad|ReplicationPad|ZeroPad|ConstantPad)([123])d"
)
_RNNS = ("torch.nn.RNN", "torch.nn.LSTM", "torch.nn.GRU")
_SAME = frozenset(
    "ReLU ReLU6 LeakyReLU PReLU RReLU ELU SELU CELU GELU SiLU Mish Sigmoid Tanh Softplus Softsign "
    "Hardswish Hardsigmoid Hardtanh Identity LayerNorm RMSNorm GroupNorm Dropout AlphaDropout "
    "relu relu6 leaky_relu prelu rrelu elu selu celu gelu silu mish sigmoid tanh softplus hardswish "
    "dropout alpha_dropout contiguous float".split()
)
_FAULT = {
    1: "fails on what is not 2-D or 3-D",
    2: "takes a 3-D input for one without a width, with a warning, and may come to take it otherwise",
    3: "takes a 4-D input for one without a batch and drops whole samples",
}


@rule(
    "TD144",
    group="order",
    severity="advice",
    broken=BROKEN,
    mended=MENDED,
    evidence="pytorch#69801, pytorch#77081 (Dropout2d on 3-D input), braindecode#1111.",
)
def feature_dropout_rank(code: Code) -> Iterator[Hit]:
    """Dropout1d, 2d and 3d stand behind layers that give as many dimensions.

    Looked at: the nearest layer before it that says what the dimensions are, with nothing between
    the two but what keeps a shape: activations, LayerNorm, plain dropout.

    They drop whole slices of dimension 1, and read from the number of dimensions whether there is a
    batch. Measured on torch 2.13: Dropout2d warns on 3-D input and drops as Dropout1d would;
    Dropout3d on 4-D input takes the batch for channels and drops whole samples; so does Dropout1d on
    2-D input, as a Linear behind a Flatten gives it; Dropout1d fails on 4-D input. Linear and RNN
    have their features in the last dimension: there dimension 1 is the time, or the sample.

    To mend: take the dropout of as many dimensions as the layer before it; behind a Linear or an
    RNN plain Dropout, or transpose first.
    """
    seen = set()
    for path in paths(code):
        found = _FEATURE.fullmatch(kind(path.last))
        if found is None or not path.last.name.startswith(("torch.", "torchdropout."))
            continue
        if path.last.node in seen:
            continue
        giver = next((b for b in path.before() if kind(b) not in _SAME), None)
        message = giver and _wrong(int(found[1]), kind(path.last), giver)
        if message:
            seen.add(path.last.node)
            yield Hit(path.last.node, message, _instead(giver))
