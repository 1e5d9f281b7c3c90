"""The world around a target: what its code can change in this process, kept and put back."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from .. import _torch

_Value = TypeVar("_Value")


class _Kept(NamedTuple):
    """A part as it was: whether it has changed since, and what puts it back."""

    has_changed: Callable[[], bool]
    restore: Callable[[], object]


_Keep = Callable[[], _Kept]

_AUTOCAST_DEVICES = ("cpu", "cuda")
_STREAMS = ("stdin", "stdout", "stderr")

# An inference mode that was left open by its owner is closed by another, which must live on: the
# state before it would come back with its end.
_HELD: list[contextlib.ExitStack] = []


class World:
    """What this process is like now; `restore` makes it so again.

    Generators of torch, NumPy and Python; default dtype and device; grad and inference mode;
    autocast; number of threads; deterministic algorithms; anomaly detection; precision of matrix
    products; environment variables, folder, standard
    streams, recursion limit, signal handlers; torch's hooks on all modules. Each is put back by
    itself, so that a target which has broken one cannot keep another. Warnings filters are left to
    `warnings.catch_warnings`.

    Example:
        >>> world = World()
        >>> torch.set_default_dtype(torch.float64)
        >>> world.restore()
        >>> torch.get_default_dtype()
        torch.float32
    """

    def __init__(self) -> None:
        self._parts = [(name, keep()) for name, keep in _PARTS]

    def changed(self) -> list[str]:
        """What is no longer as it was; generators, from which every dropout draws, aside."""
        return [name for name, part in self._parts if name != _GENERATORS and part.has_changed()]

    def restore(self) -> None:
        """Puts everything back that has changed."""
        for _, part in self._parts:
            part.restore()


@contextlib.contextmanager
def own_world() -> Iterator[World]:
    """A known world for a run, which is yielded; afterwards the caller's is back."""
    callers = World()
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            if torch.get_default_device().type != "cpu":
                stack.enter_context(torch.device("cpu"))
            torch.set_default_dtype(torch.float32)
            for device in _AUTOCAST_DEVICES:
                _write_autocast((device, False, torch.get_autocast_dtype(device)))
            torch.set_num_threads(1)
            yield World()
    finally:
        callers.restore()


@contextlib.contextmanager
def fresh_modes(world: World | None = None) -> Iterator[None]:
    """For one check: gradients are recorded, warnings silent, and what the target set is undone."""
    world = world or World()
    try:
        with warnings.catch_warnings(), torch.inference_mode(False), torch.enable_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        world.restore()


# --- Parts --------------------------------------------------------------------------------------
# Functions are bound here, at import: a target may put others in their places.


def _pair(read: Callable[[], _Value], write: Callable[[_Value], object]) -> _Keep:
    """A part that one function tells and another sets."""

    def keep() -> _Kept:
        before = read()

        def restore() -> None:
            if read() != before:
                write(before)

        return _Kept(lambda: read() != before, restore)

    return keep


def _attribute(owner: object, name: str) -> _Keep:
    """A part that is an attribute."""

    def keep() -> _Kept:
        before = getattr(owner, name)

        def restore() -> None:
            if getattr(owner, name, None) is not before:
                setattr(owner, name, before)

        return _Kept(lambda: getattr(owner, name, None) is not before, restore)

    return keep


def _generators(
    # Bound at definition for the reason above.
    read_torch: Callable[[], torch.Tensor] = torch.default_generator.get_state,
    write_torch: Callable[[torch.Tensor], object] = torch.default_generator.set_state,
    read_numpy: Callable[[], Any] = np.random.get_state,
    write_numpy: Callable[[Any], object] = np.random.set_state,
    read_python: Callable[[], Any] = random.getstate,
    write_python: Callable[[Any], object] = random.setstate,
) -> _Kept:
    of_torch, of_numpy, of_python = read_torch(), read_numpy(), read_python()

    def restore() -> None:
        write_torch(of_torch)
        write_numpy(of_numpy)
        write_python(of_python)

    return _Kept(lambda: True, restore)


def _write_inference(enabled: bool) -> None:
    stack = contextlib.ExitStack()
    stack.enter_context(torch.inference_mode(enabled))
    _HELD.append(stack)


def _autocast(device: str) -> _Keep:
    def read() -> tuple[str, bool, torch.dtype]:
        return device, torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)

    return _pair(read, _write_autocast)


def _write_autocast(state: tuple[str, bool, torch.dtype]) -> None:
    device, enabled, dtype = state
    torch.set_autocast_enabled(device, enabled)
    torch.set_autocast_dtype(device, dtype)


def _autocast_nesting() -> int:
    """How many autocasts are open."""
    torch.autocast_increment_nesting()
    return torch.autocast_decrement_nesting()


def _write_autocast_nesting(depth: int) -> None:
    while _autocast_nesting() > depth:
        torch.autocast_decrement_nesting()
    while _autocast_nesting() < depth:
        torch.autocast_increment_nesting()
    torch.clear_autocast_cache()


def _deterministic() -> tuple[bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


def _write_deterministic(state: tuple[bool, bool]) -> None:
    enabled, warn_only = state
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)


def _folder() -> str | None:
    with contextlib.suppress(OSError):
        return os.getcwd()  # noqa: PTH109
    return None  # it was removed


def _write_folder(folder: str | None) -> None:
    if folder is not None:
        with contextlib.suppress(OSError):
            os.chdir(folder)


def _write_environment(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def _signals() -> dict[int, Any]:
    """The handlers that were set from Python; only the main thread may set them."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    return {number: handler for number, handler in handlers.items() if handler is not None}


def _write_signals(before: dict[int, Any]) -> None:
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def _hooks(registry: dict[Any, Any]) -> _Keep:
    def write(before: dict[Any, Any]) -> None:
        registry.clear()
        registry.update(before)

    return _pair(registry.copy, write)


_GENERATORS = "the generators"

_PARTS: tuple[tuple[str, _Keep], ...] = (
    ("the default dtype", _pair(torch.get_default_dtype, torch.set_default_dtype)),
    ("the default device", _pair(_torch.function_modes, _torch.set_function_modes)),
    ("inference mode", _pair(torch.is_inference_mode_enabled, _write_inference)),
    ("the grad mode", _pair(torch.is_grad_enabled, _torch.set_grad_enabled)),
    *((f"autocast on {device}", _autocast(device)) for device in _AUTOCAST_DEVICES),
    ("autocast", _pair(torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled)),
    ("open autocasts", _pair(_autocast_nesting, _write_autocast_nesting)),
    ("the number of threads", _pair(torch.get_num_threads, torch.set_num_threads)),
    ("deterministic algorithms", _pair(_deterministic, _write_deterministic)),
    ("anomaly detection", _pair(torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly)),
    (
        "the precision of matrix products",
        _pair(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    ),
    ("the environment", _pair(os.environ.copy, _write_environment)),
    ("the working directory", _pair(_folder, _write_folder)),
    *((f"sys.{name}", _attribute(sys, name)) for name in _STREAMS),
    ("the recursion limit", _pair(sys.getrecursionlimit, sys.setrecursionlimit)),
    ("signal handlers", _pair(_signals, _write_signals)),
    *(
        (
            "the hooks of all modules",
            _hooks(registry)
            if isinstance(registry, dict)
            else _attribute(torch.nn.modules.module, name),
        )
        for name, registry in _torch.hooks_on_all_modules().items()
    ),
    (_GENERATORS, _generators),
)
