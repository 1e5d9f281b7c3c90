"""The paths of all layers of a file: of its sequences, its functions, and its lists that grow."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from functools import partial

from ..code import Class, Code, Pattern
from ._grown import in_sequences
from ._rule import kept
from ._sequences import Layer, Path, Reader, has_dropout
from ._values import Listed, Value, Values


def paths(code: Code) -> Iterable[Path]:
    """Returns every layer that is known to be applied, with those before it.

    Args:
        code: A file.

    Returns:
        A path for each layer, or several for a layer of a `Sequential` that is applied in this
        file; nothing for a file without one of torch's dropouts.
    """
    return _paths(code)


@kept
def values(code: Code) -> Values:
    """Returns what the expressions of a file build.

    Args:
        code: A file.
    """
    return Values(code, Reader(code))


@kept
def _paths(code: Code) -> tuple[Path, ...]:
    if not has_dropout(code):
        return ()
    found = reader(code)
    return (*found.read(), *in_sequences(code, found, values(code)))


def reader(code: Code) -> Reader:
    """Returns what reads the layers of a file, each in one of its functions.

    Args:
        code: A file.
    """
    return Reader(code, partial(_layer, code), partial(_end, code))


def _layer(code: Code, expr: ast.expr, cls: Class | None) -> Layer | None:
    """Returns the layer that an expression builds, if that is surely one of torch."""
    made: Sequence[Value] = values(code).of(expr, cls)
    if isinstance(expr, ast.Call):  # a helper, with its option
        made = [each for each in made if not _is_identity(each)] or made
    layers = [each for each in made if isinstance(each, Layer) and each.call is not None]
    names = {each.name for each in layers}
    if len(layers) < len(made) or len(names) != 1:
        return None
    return layers[0] if layers[0].name.startswith("torch.nn.") else None


def _is_identity(value: Value) -> bool:
    return isinstance(value, Layer) and value.name == "torch.nn.Identity"


@kept
def _end(code: Code, cls: Class, name: str) -> Layer | None:
    """Returns the layer that surely ends the `Sequential` that is an attribute of a class."""
    found = [*values(code).attribute(cls, Pattern(name, True))]
    only = found[0] if len(found) == 1 else None
    if not isinstance(only, Listed) or not only.is_chain or not only.parts:
        return None
    last = only.parts[-1]
    layer = last.options[0] if len(last.options) == 1 and not last.may_lack else None
    return layer if isinstance(layer, Layer) and layer.call is not None else None
