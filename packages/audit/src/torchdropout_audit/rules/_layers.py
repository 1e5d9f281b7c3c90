"""Layers, and what a value has passed: the domain of the interpreter in `_flow`."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..code import FUNCTIONAL_OFF, FUNCTIONAL_ON, MODULES, Call, Code
from ..code.nodes import said_of
from ._rule import kept

_DROPOUTS = frozenset(
    (*MODULES, *FUNCTIONAL_ON, *FUNCTIONAL_OFF, "torch.dropout")
    + tuple(f"torchdropout.nn.{name.rpartition('.')[2]}" for name in MODULES)
)
_MOST_CHAINS = 6  # ways on which a value may have come
_LONGEST = 12  # layers of one way that are remembered
SHAPES = frozenset(
    ("view", "reshape", "flatten", "Flatten", "Unflatten", "unflatten", "squeeze", "unsqueeze")
    + ("transpose", "permute", "movedim", "swapaxes", "contiguous", "select", "split")
)
"""The names of methods and functions that give the same values another shape."""


@dataclass(frozen=True)
class Layer:
    """A module or a function that is applied to a value.

    Attributes:
        node: What a finding marks: the layer in its `Sequential`, or the call that applies it.
        name: The qualified name of the module or function; empty if it is not known.
        call: The call that builds the module or applies the function, with the arguments.
        drops: Whether it is a dropout that can act.
    """

    node: ast.expr
    name: str = ""
    call: Call | None = None
    drops: bool = False


Chain = tuple[Layer, ...]
"""Layers that a value has passed one after the other."""


@dataclass(frozen=True)
class Trace:
    """What a value has passed.

    Attributes:
        dropped: The dropouts whose variance it carries: those since its last normalisation.
        chains: The last layers on each way on which it may have come; empty if they are not known.
    """

    dropped: frozenset[ast.expr] = frozenset()
    chains: tuple[Chain, ...] = ((),)

    def __or__(self, other: Trace) -> Trace:
        """Returns the trace of a value that is one of two."""
        if self == other:
            return self
        chains = dict.fromkeys((*self.chains, *other.chains))
        return Trace(self.dropped | other.dropped, tuple(chains)[:_MOST_CHAINS])

    def behind(self, layer: Layer, dropped: frozenset[ast.expr]) -> Trace:
        """Returns the trace of what a layer makes of the value."""
        chains = ((*each[1 - _LONGEST :], layer) for each in self.chains)
        return Trace(dropped, tuple(chains))

    def but(self, dropped: Iterable[ast.expr]) -> Trace:
        """Returns the trace without some of the dropouts."""
        return Trace(self.dropped.difference(dropped), self.chains)


def layer_of(code: Code, node: ast.expr, name: str, call: Call) -> Layer:
    """Returns a layer of a file.

    Args:
        code: The file.
        node: What a finding marks.
        name: The qualified name of the module or function.
        call: The call that builds or applies it.
    """
    return Layer(node, name, call, _drops(code, name, call))


def _drops(code: Code, name: str, call: Call) -> bool:
    """Whether a layer is a dropout that can act, apart from its p."""
    if name not in _DROPOUTS:
        return False
    training = call.argument("train" if name == "torch.dropout" else "training")
    if code.value(training) is False:
        return False
    return training is not None or name not in FUNCTIONAL_OFF


@kept
def has_dropout(code: Code) -> bool:
    """Whether a file builds or applies one of torch's dropouts."""
    return any(call.name in _DROPOUTS for call in code.calls)


@kept
def calls(code: Code) -> Mapping[ast.AST | None, Call]:
    """Returns the calls of a file by their nodes."""
    return {call.node: call for call in code.calls}


def kind(layer: Layer) -> str:
    """Returns the last part of a layer's name: `Dropout2d`, `batch_norm`."""
    return layer.name.rpartition(".")[2]


def said(layer: Layer) -> str:
    """Returns the last part of a layer's name, or of what is called."""
    if layer.name:
        return kind(layer)
    return "" if layer.call is None else said_of(layer.call.node.func)


def reshapes(layer: Layer) -> bool:
    """Whether a layer gives the same values another shape, or another place in memory."""
    return layer.name.startswith("torch.") and kind(layer) in SHAPES
