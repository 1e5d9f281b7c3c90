"""What an example is: two short programs, one with the fault and one without."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from types import FunctionType

_MODULE = "example"


@dataclass(frozen=True)
class Example:
    """A broken dropout as a person would write it, and the same one mended.

    Attributes:
        broken: A program that defines a dropout with the fault, its last function or class.
        mended: The same without the fault.
        spec: What both claim to be; None where it is inferred.
    """

    broken: str
    mended: str
    spec: str | None = None


def example(broken: str, mended: str, spec: str | None = None) -> Example:
    """An example from texts that are indented as the code around them."""
    return Example(inspect.cleandoc(broken) + "\n", inspect.cleandoc(mended) + "\n", spec)


def build(source: str) -> object:
    r"""The dropout that a program defines: its last function or class.

    Args:
        source: A program of this package, whose text is trusted: it is executed.

    Returns:
        A function or class, something that a verifier takes.

    Raises:
        ValueError: The program defines none.

    Example:
        >>> build("def dropout(x, p, training):\n    return x\n")(3, 0.5, True)
        3
    """
    names: dict[str, object] = {"__name__": _MODULE}
    exec(compile(source, "<example>", "exec"), names)
    defined = [
        thing
        for thing in names.values()
        if isinstance(thing, (FunctionType, type)) and thing.__module__ == _MODULE
    ]
    if not defined:
        raise ValueError(f"Expected `source` to define a function or class, got source={source!r}")
    return defined[-1]
