"""The paths of all layers of a file: of its sequences, its functions, and its lists that grow."""

from __future__ import annotations

from collections.abc import Iterable

from ..code import Code
from ._grown import grown
from ._rule import kept
from ._sequences import Path, Reader, has_dropout
from ._values import Values


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
    reader = Reader(code, lambda expr, cls: values(code).layer(expr, cls))
    return (*reader.read(), *grown(reader))
