"""TD131: the dropout of an RNN with one layer."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import RNNS, Call, Code
from ..reporting.findings import Severity
from ._dropouts import default_of, is_number, is_refused
from ._rule import Hit, rule

BROKEN = """\
from torch import nn

rnn = nn.LSTM(8, 16, dropout=0.5)
"""
FIXED = BROKEN.replace("16, ", "16, num_layers=2, ")


@rule(
    "TD131",
    group="modules",
    broken=BROKEN,
    fixed=FIXED,
    evidence="pytorch#5985; pyro#1415; pytorch-forecasting#2172; nemo "
    "collections/audio/models/maxine/bnr.py:78",
)
def rnn_dropout_without_effect(code: Code) -> Iterator[Hit]:
    """An RNN with dropout has more than one layer.

    The rule looks for `nn.RNN`, `nn.LSTM` or `nn.GRU`, or one of torchdropout's, with a dropout
    above 0 and one layer, which is the default. It is advice if there is surely one layer and the
    rate is not known. If the number of layers is not known, nothing is reported.

    The dropout of an RNN acts between its layers, on the output of each but the last. With one
    layer it acts nowhere; torch warns once, when the module is built.

    To fix: add a separate dropout after the RNN, or use more layers.
    """
    for call in code.calls:
        if call.name not in RNNS or not _has_one_layer(code, call):
            continue
        given = call.argument("dropout")
        if not isinstance(given, ast.expr) or is_refused(code, call.node):
            continue
        severity = _severity(code, given)
        if severity is None or (severity == "advice" and code.is_test):
            continue
        kind = call.name.rpartition(".")[2]
        yield Hit(
            given,
            f"the dropout of {kind} acts between its layers, and this one has one layer: it has "
            "no effect",
            "add a dropout after it, or more layers",
            severity=severity,
        )


def _has_one_layer(code: Code, call: Call) -> bool:
    layers = call.argument("num_layers")
    if layers is None:
        return True
    return isinstance(layers, ast.expr) and code.value(layers) == 1


def _severity(code: Code, given: ast.expr) -> Severity | None:
    p = default_of(code, given)
    if is_number(p):
        assert isinstance(p, (int, float))
        if p > 0:
            return "error"
        return None if is_number(code.value(given)) else "advice"
    values = [given, *(v for v in code.assigned(given) if v is not None)]
    # A computed rate may be 0 for one layer.
    named = (ast.Name, ast.Attribute, ast.Subscript)
    return "advice" if all(isinstance(value, named) for value in values) else None
