"""Reads the command line's strings: a model, and inputs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch.export import ExportedProgram

from .._tools.loading import Home, load, one_line, target_error
from ..errors import ArgumentValueError

_MODELS = (torch.nn.Module, ExportedProgram)


class Loaded(NamedTuple):
    """A model, its arguments, and the home to enter while its code runs."""

    model: torch.nn.Module | ExportedProgram
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    home: Home


class Input(NamedTuple):
    """An input to make.

    Attributes:
        name: The argument's name; empty for a positional one.
        shape: Its shape.
        dtype: Its dtype.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    def make(self, device: torch.device) -> torch.Tensor:
        """Makes normal values for floats; zeros and ones for integers, which any vocabulary has."""
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
        The input; float32 if no dtype is given.

    Raises:
        ArgumentValueError: The text has another form.

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


def read_inputs(texts: Sequence[str]) -> list[Input]:
    """Reads several inputs; each name must be given once.

    Raises:
        ArgumentValueError: A text has another form, or a name is repeated.
    """
    found = [read_input(text) for text in texts]
    names = [each.name for each in found if each.name]
    for text, each in zip(texts, found, strict=True):
        if names.count(each.name) > 1:
            raise ArgumentValueError(
                f"Expected `--input` to be given once for each name, got {text!r} (str) "
                f"and another for {each.name}"
            )
    return found


def load_model(target: str, inputs: Sequence[Input] = ()) -> Loaded:
    """Loads a model and its arguments.

    Args:
        target: `package.module:factory` or `path/file.py:factory`: a callable without arguments
            that returns a model, `(model, args)` or `(model, args, kwargs)`; or a model. A model
            may be an exported program. `path/file.pt2` is one that `torch.export.save` wrote.
        inputs: Inputs for the model, instead of those that the factory returns.

    Returns:
        The model, its positional and its named arguments, and its home.

    Raises:
        TargetError: It cannot be found, imported or called, or returns something else.
    """
    if target.endswith(".pt2"):
        return Loaded(_program(target), (), {}, Home())
    thing, home = load(target)
    try:
        with home:
            given: Any = thing if isinstance(thing, _MODELS) else cast(Any, thing)()
    except (Exception, SystemExit) as error:
        raise target_error(target, "to be callable without arguments", one_line(error)) from error
    parts = given if isinstance(given, tuple) else (given,)
    model, args, kwargs = (*parts, *((), {})[len(parts) - 1 :])[:3] if parts else (None, (), {})
    is_right = (
        len(parts) <= 3
        and isinstance(model, _MODELS)
        and isinstance(args, (tuple, list))
        and isinstance(kwargs, Mapping)
    )
    if not is_right:
        raise target_error(
            target, "to return a model, (model, args) or (model, args, kwargs)", _type_of(given)
        )
    if inputs and isinstance(model, torch.nn.Module):
        tensors = (*model.parameters(), *model.buffers())
        device = next((t.device for t in tensors), torch.device("cpu"))
        args = tuple(one.make(device) for one in inputs if not one.name)
        kwargs = {one.name: one.make(device) for one in inputs if one.name}
    return Loaded(model, tuple(args), dict(kwargs), home)


def _program(path: str) -> ExportedProgram:
    """Loads a file of `torch.export.save`."""
    expected = "to be a file that torch.export.save wrote"
    if not Path(path).is_file():
        raise target_error(path, expected, "no such file")
    try:
        return torch.export.load(path)
    except (Exception, SystemExit) as error:
        raise target_error(path, expected, one_line(error)) from error


def _type_of(given: Any) -> str:
    if isinstance(given, tuple):
        return f"({', '.join(type(part).__name__ for part in given)})"
    return type(given).__name__
