"""Where the randomness of a call comes from: a key, a generator, or torch's default generator."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch.overrides import has_torch_function_unary

from .._core import direct, ops
from .._core._validate import check_generator, wrong_type
from .._core.contract.seed import refuse_capture
from ..errors import ArgumentValueError
from ..random import Key

Result = TypeVar("Result")


def check_source(key: Any, generator: Any, x: torch.Tensor) -> None:
    """Accept a key, or a generator to draw one from, or neither."""
    if key is not None and generator is not None:
        raise ArgumentValueError(
            "Expected `key` or `generator`, not both: a key is used as it is and draws nothing, "
            f"got key={key!r} ({type(key).__name__}) and generator={generator!r} "
            f"({type(generator).__name__})."
        )
    check_key("key", key)
    if generator is not None:
        check_generator(generator, x.device)


def check_key(name: str, key: Any) -> None:
    """Accept a key, None, or what a tracer such as `torch.fx` substitutes for an argument."""
    if key is None or isinstance(key, Key):
        return
    if isinstance(key, torch.Tensor) or not has_torch_function_unary(key):
        wrong_type(name, "a torchdropout.Key, such as Key(seed=7)", key)


def key_of(key: Key | None, generator: torch.Generator | None) -> Key | None:
    """The given key, or one drawn from the given generator; None for torch's default generator."""
    return key if generator is None else Key.draw(generator)


def key_tensor(key: Key | None, device: torch.device | None = None) -> torch.Tensor:
    """The key as an operator takes it; without one, drawn from torch's default generator."""
    return ops.draw_key(device) if key is None else key.tensor()


def key_numbers(key: Key | None, generator: torch.Generator | None) -> tuple[int, int]:
    """The key as `direct` takes it, seed and stream; the seed is drawn unless a key is given."""
    key = key_of(key, generator)
    return (direct.draw_seed(), 0) if key is None else (key.seed, key.stream)


@contextlib.contextmanager
def drawn(
    key: Key | None, generator: torch.Generator | None, device: torch.device | None = None
) -> Iterator[torch.Tensor]:
    """`key_tensor` of the given key or of a drawn one, which is not drawn if the body raises."""
    if key is not None:
        yield key_tensor(key)
        return
    with undrawn_on_error(key, generator):
        yield key_tensor(key_of(key, generator), device)


@contextlib.contextmanager
def undrawn_on_error(key: Key | None, generator: torch.Generator | None) -> Iterator[None]:
    """Restore the generator if the body raises, for a body that may still fail after drawing.

    There may be no memory for the result, and torch refuses some views only when written to.
    """
    if key is not None or torch.compiler.is_compiling():
        yield
        return
    if generator is None:
        generator = torch.default_generator
    else:
        refuse_capture()  # a generator on a GPU reports it less clearly
    before = generator.get_state()
    try:
        yield
    except BaseException:
        generator.set_state(before)
        raise


def attempt(
    key: Key | None,
    generator: torch.Generator | None,
    function: Callable[..., Result],
    /,
    *args: Any,
    **kwargs: Any,
) -> Result:
    """Call a function that draws for a module's own layer, and restore the generator if it raises.

    Under torch.compile it is only called: the layer may break the graph, which a compiler cannot
    do within a context.
    """
    if torch.compiler.is_compiling():
        return function(*args, **kwargs)
    with undrawn_on_error(key, generator):
        return function(*args, **kwargs)
