"""What the command line's strings name: a model, and inputs."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..errors import ArgumentValueError, TargetError

_HOW = "package.module:factory or path/file.py:factory"


class Loaded(NamedTuple):
    """A model and what it is called with."""

    model: torch.nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Input(NamedTuple):
    """An input to be made.

    Attributes:
        name: The argument's name; empty for a positional one.
        shape: Its shape.
        dtype: Its dtype.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    def make(self, device: torch.device) -> torch.Tensor:
        """Normal values for floats; zeros and ones for integers, which any vocabulary has."""
        generator = torch.Generator().manual_seed(0)
        if self.dtype.is_floating_point or self.dtype.is_complex:
            made = torch.randn(self.shape, generator=generator).to(self.dtype)
        elif self.dtype is torch.bool:
            made = torch.ones(self.shape, dtype=torch.bool)
        else:
            made = torch.randint(0, 2, self.shape, generator=generator).to(self.dtype)
        return made.to(device)


def read_input(text: str) -> Input:
    """Reads `[NAME=]SHAPE[:DTYPE]`.

    Args:
        text: `1x3x224x224`, `1x16:int64`, `input_ids=1x16:int64`.

    Returns:
        The input; float32 where no dtype is given.

    Raises:
        ArgumentValueError: It is none.

    Example:
        >>> read_input("ids=1x16:int64")
        Input(name='ids', shape=(1, 16), dtype=torch.int64)
    """
    match = re.fullmatch(r"(?:([A-Za-z_]\w*)=)?(\d+(?:x\d+)*)(?::(\w+))?", text.strip())
    dtype = None if match is None else getattr(torch, match[3] or "float32", None)
    if match is None or not isinstance(dtype, torch.dtype):
        raise ArgumentValueError(
            "Expected `--input` to be [NAME=]SHAPE[:DTYPE], as 1x3x224x224 or ids=1x16:int64, "
            f"got {text!r} (str)"
        )
    return Input(match[1] or "", tuple(int(size) for size in match[2].split("x")), dtype)


def load(target: str, inputs: Sequence[Input] = ()) -> Loaded:
    """Finds a model and what to call it with.

    Args:
        target: `package.module:factory` or `path/file.py:factory`: something to be called with no
            arguments, which gives a model, `(model, args)` or `(model, args, kwargs)`; or a model.
        inputs: What to call the model with, in the place of what the factory gives.

    Returns:
        The model, its positional and its named arguments.

    Raises:
        TargetError: It cannot be found, imported or called, or gives something else.
    """
    thing = _find(target)
    try:
        given = thing if isinstance(thing, torch.nn.Module) else thing()
    except Exception as error:
        raise TargetError(
            f"Expected {target} to be callable without arguments, got "
            f"{type(error).__name__}: {error}"
        ) from error
    parts = given if isinstance(given, tuple) else (given,)
    model, args, kwargs = (*parts, *((), {})[len(parts) - 1 :])[:3] if parts else (None, (), {})
    is_right = (
        len(parts) <= 3
        and isinstance(model, torch.nn.Module)
        and isinstance(args, (tuple, list))
        and isinstance(kwargs, Mapping)
    )
    if not is_right:
        raise TargetError(
            f"Expected {target} to give a model, (model, args) or (model, args, kwargs), "
            f"got {_told(given)}"
        )
    if inputs:
        tensors = (*model.parameters(), *model.buffers())
        device = next((t.device for t in tensors), torch.device("cpu"))
        args = tuple(one.make(device) for one in inputs if not one.name)
        kwargs = {one.name: one.make(device) for one in inputs if one.name}
    return Loaded(model, tuple(args), dict(kwargs))


def _told(given: Any) -> str:
    if isinstance(given, tuple):
        return f"({', '.join(type(part).__name__ for part in given)})"
    return type(given).__name__


def _find(target: str) -> Any:
    home, colon, path = target.rpartition(":")
    if not (home and colon and path):
        raise TargetError(f"Expected a target as {_HOW}, got {target!r} (str)")
    try:
        with _importing():
            thing: Any = _file(Path(home)) if home.endswith(".py") else _package(home)
    except TargetError:
        raise
    except Exception as error:
        raise TargetError(
            f"Expected {home} to be importable, got {type(error).__name__}: {error}"
        ) from error
    for name in path.split("."):
        if not hasattr(thing, name):
            raise TargetError(f"Expected {home} to have {path!r}, got no {name!r} there")
        thing = getattr(thing, name)
    return thing


def _package(name: str) -> Any:
    return importlib.import_module(name)


def _file(path: Path) -> Any:
    if not path.is_file():
        raise TargetError(f"Expected a file {path}, got none")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Data classes and pickles look their module up by name; a package of that name stays.
    sys.modules.setdefault(path.stem, module)
    sys.path.insert(0, str(path.resolve().parent))
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _importing() -> Iterator[None]:
    """Imports as `python -m` does: from the current folder too; `sys.path` is as before then."""
    before = list(sys.path)
    sys.path.insert(0, str(Path.cwd()))
    try:
        yield
    finally:
        sys.path[:] = before
