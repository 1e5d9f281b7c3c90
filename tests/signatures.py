"""The arguments and defaults of the public interface, as text: what is in signatures.txt.

Where one changes, `make checks` writes it anew.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

MODULES = (
    "torchdropout",
    *(
        f"torchdropout.{name}"
        for name in ("functional", "nn", "models.mc", "models.convert", "models.schedule")
    ),
    *(
        f"torchdropout.{name}"
        for name in ("models.export", "models.onnx", "_core.backends", "verify", "audit_model")
    ),
)


def shown(function: Any) -> str:
    """Names and defaults; annotations are a matter of the type checker's."""
    parameters = inspect.signature(function).parameters.values()
    plain = [one.replace(annotation=inspect.Parameter.empty) for one in parameters]
    return str(inspect.Signature(plain))


def is_ours(thing: Any) -> bool:
    """Whether its code is in this package, and not taken over from torch."""
    return getattr(thing, "__module__", "").startswith("torchdropout")


def of_class(cls: type) -> Iterator[tuple[str, Any]]:
    """The constructor and the public methods that a class of ours defines."""
    for base in cls.__mro__:
        for name, value in vars(base).items() if is_ours(base) else ():
            value = getattr(value, "__func__", value)
            if inspect.isfunction(value) and (name[:1] != "_" or name in ("__init__", "__call__")):
                yield name, value


def lines() -> Iterator[str]:
    """A line for each public function and method."""
    for name in MODULES:
        module = importlib.import_module(name)
        for public, thing in sorted(vars(module).items()):
            if public.startswith("_") or inspect.ismodule(thing) or not is_ours(thing):
                continue
            if not hasattr(module, "__path__") and thing.__module__ != name:
                continue  # a file imports what it uses, a package what it offers
            if inspect.isclass(thing):
                found = dict(reversed([*of_class(thing)]))
                yield from (f"{name}.{public}.{m}{shown(f)}" for m, f in sorted(found.items()))
            elif callable(thing):
                yield f"{name}.{public}{shown(thing)}"


if __name__ == "__main__":
    print(*lines(), sep="\n")
