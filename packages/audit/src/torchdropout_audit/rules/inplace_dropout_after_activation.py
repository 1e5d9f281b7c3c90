"""TD145: an in-place dropout on what backward needs."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import Code, argument_of
from ..findings import Edit, Fix
from ..reporting.findings import Severity
from ._dropouts import is_refused, is_step
from ._flow import flow
from ._layers import Layer, has_dropout, kind
from ._rule import Hit, kept, rule
from ._variance import turns_off

BROKEN = """\
from torch import nn

head = nn.Sequential(
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Dropout(0.5, inplace=True),
    nn.Linear(64, 10),
)
"""
FIXED = BROKEN.replace("inplace=True", "inplace=False")

KEEPS_OUTPUT = frozenset(
    ("ReLU", "Tanh", "Sigmoid", "Softmax", "Softmax2d", "Softmin", "LogSoftmax")
    + ("relu", "relu_", "tanh", "tanh_", "sigmoid", "sigmoid_")
    + ("softmax", "softmin", "log_softmax")
    + ("elu_", "celu_", "selu_", "leaky_relu_", "rrelu_")
)
"""The activations whose backward uses their output."""

KEEPS_OUTPUT_IN_PLACE = {
    **{"ELU": 1, "CELU": 1, "SELU": 0, "LeakyReLU": 1, "RReLU": 2},
    **{"elu": 2, "celu": 2, "selu": 1, "leaky_relu": 2, "rrelu": 4},
}
"""Those whose backward uses it if they are in place, and the position of `inplace`."""

# Their `forward` does not pass `inplace` on.
_NEVER_IN_PLACE = frozenset(("torch.nn.AlphaDropout", "torch.nn.FeatureAlphaDropout"))


@rule("TD145", "order", BROKEN, FIXED)
def inplace_dropout_after_activation(code: Code) -> Iterator[Hit]:
    """No in-place dropout follows an activation whose backward uses its output.

    The rule looks for a dropout with `inplace=True` right after ReLU, Tanh, Sigmoid or a softmax,
    or after ELU, CELU, SELU, LeakyReLU or RReLU in place: in a Sequential, in a list that becomes
    one, or applied in turn to one value. A p that is known to be 0 is skipped. It is advice in a
    function that is not known to run in a Module.

    These activations keep their output for backward, and the dropout overwrites it: training stops
    with "one of the variables needed for gradient computation has been modified by an inplace
    operation". In evaluation, and with p=0, nothing fails. GELU, SiLU, Hardswish and linear layers
    keep their input instead, and are not reported.

    To fix: remove `inplace=True` from the dropout. The activation may stay in place.

    Seen in: pytorch#727, pytorch#72992, pytorch-semseg#121, nni#4614, mlcolvar#118,
    bottom-up-attention-vqa#6; timm 1.0.31 models/tnt.py:65, which raises with attn_drop_rate > 0
    """
    seen = set()
    for chains in flow(code).applied if has_dropout(code) else ():
        last = chains[0][-1]
        if last.node in seen or not last.drops or not _is_in_place(code, last):
            continue
        ways = [[e for e in chain[:-1] if e.name != "torch.nn.Identity"] for chain in chains]
        before = [way[-1] for way in ways if way and _keeps_output(code, way[-1])]
        if len(before) < len(chains):
            continue  # on another way nothing is kept
        if _is_without_gradient(code, last.node):
            continue
        seen.add(last.node)
        kept_by = f"what {kind(before[0])} keeps for backward, which raises"
        said, hint = f"{kind(last)} in place writes over {kept_by}", "leave out inplace=True"
        yield Hit(last.node, said, hint, _fix(code, last), _severity(code, last))


def _is_in_place(code: Code, layer: Layer) -> bool:
    given = None if layer.call is None else layer.call.argument("inplace")
    return code.value(given) is True and layer.name not in _NEVER_IN_PLACE


def _keeps_output(code: Code, layer: Layer) -> bool:
    name = kind(layer)
    if name in KEEPS_OUTPUT:
        return True
    place = KEEPS_OUTPUT_IN_PLACE.get(name)
    if place is None or layer.call is None:
        return False
    return code.value(argument_of(layer.call.node, "inplace", place)) is True


def _is_without_gradient(code: Code, node: ast.AST) -> bool:
    """Whether there is no backward: under `no_grad`, where it must raise, or in eval only."""
    for parent in code.parents(node):
        found: list[ast.expr] = []
        if isinstance(parent, (ast.With, ast.AsyncWith)):
            found = [item.context_expr for item in parent.items]
        elif isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found = parent.decorator_list
        if any(turns_off(code, each) for each in found):
            return True
    return is_refused(code, node)


def _severity(code: Code, layer: Layer) -> Severity | None:
    """None (an error) for a Sequential, in a Module and in what a step calls; else advice."""
    if code.place.is_test:
        return "advice"
    node, call = layer.node, layer.call
    cls, function = code.class_of(node), code.function_of(node)
    is_of_sequence = call is not None and node is call.node and kind(layer)[0].isupper()
    is_known = is_of_sequence or (cls is not None and cls.is_module)
    return None if is_known or is_step(code, function) else "advice"


def _fix(code: Code, layer: Layer) -> Fix | None:
    """Changes `inplace=True` to `inplace=False`: the values stay, and backward works."""
    call = layer.call
    given = None if call is None else call.argument("inplace")
    if not isinstance(given, ast.Constant):
        return None
    is_relied_on = call is not None and call.node in _called_for_effect(code)
    return Fix("make it inplace=False", (Edit(*code.span(given), "False"),), not is_relied_on)


@kept
def _called_for_effect(code: Code) -> frozenset[ast.AST]:
    """What builds a module that is called as a statement, `self.drop(x)`: it acts in place only."""
    return frozenset(
        value
        for call in code.calls
        if isinstance(next(code.parents(call.node)), ast.Expr)
        for value in code.assigned(call.node.func)
        if value is not None
    )
