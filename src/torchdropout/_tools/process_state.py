"""What code can change in this process, saved and restored: generators, modes, threads, hooks.

A caller declares the parts that it saves; this file has those of the verifier and the audit.
Functions are bound when a part is made: code that runs later may replace them.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import torch

from .._core import _torch

_Value = TypeVar("_Value")

AUTOCAST_DEVICES = ("cpu", "cuda")
_STREAMS = ("stdin", "stdout", "stderr")

# Inference modes that `_write_inference` has entered. They stay open: leaving one would bring the
# state before it back.
_HELD: list[contextlib.ExitStack] = []


class Saved(NamedTuple):
    """A saved part: whether it has changed since, and how to restore it."""

    has_changed: Callable[[], bool]
    restore: Callable[[], object]


class StatePart(NamedTuple):
    """A part of the process's state: its name in a report, how to save it, whether it is random."""

    name: str
    save: Callable[[], Saved]
    is_generator: bool = False


class ProcessState:
    """The state of some parts when this was made.

    Each part is restored on its own, so that a broken part does not keep another from
    being restored.

    Args:
        parts: What to save.

    Example:
        >>> state = ProcessState(MODES)
        >>> torch.set_default_dtype(torch.float64)
        >>> state.changed()
        ['the default dtype']
        >>> state.restore()
        >>> torch.get_default_dtype()
        torch.float32
    """

    def __init__(self, parts: Iterable[StatePart]) -> None:
        self._saved = [(part, part.save()) for part in parts]

    def changed(self) -> list[str]:
        """The names of the parts that have changed; generators, which advance, are not reported."""
        found = ((part, saved) for part, saved in self._saved if not part.is_generator)
        return [part.name for part, saved in found if saved.has_changed()]

    def drawn(self) -> list[str]:
        """The names of the generators that have advanced."""
        found = ((part, saved) for part, saved in self._saved if part.is_generator)
        return [part.name for part, saved in found if saved.has_changed()]

    def restore(self) -> None:
        """Restores each part that has changed."""
        for _, saved in self._saved:
            saved.restore()


# --- Kinds of parts -----------------------------------------------------------------------------


def _value(name: str, read: Callable[[], _Value], write: Callable[[_Value], object]) -> StatePart:
    """A value that one function reads and another writes."""

    def save() -> Saved:
        before = read()

        def restore() -> None:
            if read() != before:
                write(before)

        return Saved(lambda: read() != before, restore)

    return StatePart(name, save)


def _attribute(name: str, owner: object, attribute: str) -> StatePart:
    """An attribute of an object."""

    def save() -> Saved:
        before = getattr(owner, attribute)

        def restore() -> None:
            if getattr(owner, attribute, None) is not before:
                setattr(owner, attribute, before)

        return Saved(lambda: getattr(owner, attribute, None) is not before, restore)

    return StatePart(name, save)


def _generator(name: str, read: Callable[[], Any], write: Callable[[Any], object]) -> StatePart:
    """A random generator: always written back."""

    def save() -> Saved:
        before = read()
        return Saved(lambda: not _is_same(read(), before), lambda: write(before))

    return StatePart(name, save, is_generator=True)


def _is_same(state: Any, before: Any) -> bool:
    """Whether two states of a generator are equal."""
    if isinstance(state, torch.Tensor):
        return torch.equal(state, before)
    if isinstance(state, list):
        return all(map(_is_same, state, before))
    return pickle.dumps(state) == pickle.dumps(before)  # NumPy's contains an array


# --- Generators ---------------------------------------------------------------------------------

TORCHS = "torch's generator"


def generators(
    numpy: ModuleType | None,
    own: Iterable[torch.Generator] = (),
    *,
    accelerators: bool = False,
) -> tuple[StatePart, ...]:
    """The parts that save random generators: those of torch, Python and NumPy.

    Args:
        numpy: NumPy; None if it is not loaded.
        own: More generators of torch.
        accelerators: Whether to save those of CUDA devices too, if CUDA is in use.
    """
    parts = [
        _generator(TORCHS, each.get_state, each.set_state)
        for each in (torch.default_generator, *own)
    ]
    if accelerators and torch.cuda.is_available() and torch.cuda.is_initialized():
        read, write = torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all
        parts.append(_generator("CUDA's generators", read, write))
    parts.append(_generator("Python's generator", random.getstate, random.setstate))
    if numpy is not None:
        # A tuple, which `get_state` gives by default, has room for a Mersenne Twister only.
        read = partial(numpy.random.get_state, legacy=False)
        parts.append(_generator("NumPy's generator", read, numpy.random.set_state))
    return tuple(parts)


def held_generators(holders: Mapping[str, object], numpy: ModuleType | None) -> list[StatePart]:
    """The parts that save the random generators in the attributes of objects.

    Args:
        holders: The objects; a part is named after these names and the attribute.
        numpy: NumPy; None if it is not loaded.
    """
    return [
        _generator(f"{name}.{attribute}" if name else attribute, *access)
        for name, holder in holders.items()
        for attribute, value in vars(holder).items()
        if (access := _access(value, numpy)) is not None
    ]


def _access(
    value: Any, numpy: ModuleType | None
) -> tuple[Callable[[], Any], Callable[[Any], object]] | None:
    """The functions that read and write a generator's state; None for anything else."""
    if isinstance(value, torch.Generator) and value is not torch.default_generator:
        return value.get_state, value.set_state
    if isinstance(value, random.Random):
        return value.getstate, value.setstate
    if numpy is not None and isinstance(value, numpy.random.RandomState):
        return partial(value.get_state, legacy=False), value.set_state
    if numpy is not None and isinstance(value, numpy.random.Generator):
        bits = value.bit_generator
        return partial(getattr, bits, "state"), partial(setattr, bits, "state")
    return None


def seed_generators(seed: int, numpy: ModuleType | None, *, accelerators: bool = False) -> None:
    """Seeds the generators that `generators` saves with the same arguments."""
    (torch.manual_seed if accelerators else torch.default_generator.manual_seed)(seed)
    random.seed(seed)
    if numpy is not None:
        numpy.random.seed(seed % 2**32)


# --- Modes of torch -----------------------------------------------------------------------------


def _write_inference(enabled: bool) -> None:
    stack = contextlib.ExitStack()
    stack.enter_context(torch.inference_mode(enabled))
    _HELD.append(stack)


def _autocast(device: str) -> StatePart:
    def read() -> tuple[bool, torch.dtype]:
        return torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)

    def write(state: tuple[bool, torch.dtype]) -> None:
        set_autocast(device, *state)

    return _value(f"autocast on {device}", read, write)


def set_autocast(device: str, enabled: bool, dtype: torch.dtype) -> None:
    """Sets autocast for a kind of device."""
    torch.set_autocast_enabled(device, enabled)
    torch.set_autocast_dtype(device, dtype)


def _autocast_nesting() -> int:
    """How many autocasts are open."""
    torch.autocast_increment_nesting()
    return torch.autocast_decrement_nesting()


def _write_autocast_nesting(depth: int) -> None:
    for _ in range(depth, _autocast_nesting()):
        torch.autocast_decrement_nesting()
    for _ in range(_autocast_nesting(), depth):
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


DEFAULT_DTYPE = _value("the default dtype", torch.get_default_dtype, torch.set_default_dtype)
GRAD_MODE = _value("the grad mode", torch.is_grad_enabled, _torch.set_grad_enabled)

# In the order in which they are restored.
MODES: tuple[StatePart, ...] = (
    DEFAULT_DTYPE,
    _value("the default device", _torch.function_modes, _torch.set_function_modes),
    _value("inference mode", torch.is_inference_mode_enabled, _write_inference),
    GRAD_MODE,
    *map(_autocast, AUTOCAST_DEVICES),
    _value("autocast", torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
    _value("open autocasts", _autocast_nesting, _write_autocast_nesting),
    _value("the number of threads", torch.get_num_threads, torch.set_num_threads),
    _value("deterministic algorithms", _deterministic, _write_deterministic),
    _value("anomaly detection", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    _value(
        "the precision of matrix products",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
)


# --- The process --------------------------------------------------------------------------------


def _write_environment(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def _folder() -> str | None:
    with contextlib.suppress(OSError):
        return os.getcwd()  # noqa: PTH109
    return None  # it was removed


def _write_folder(folder: str | None) -> None:
    if folder is not None:
        with contextlib.suppress(OSError):
            os.chdir(folder)


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


PROCESS: tuple[StatePart, ...] = (
    _value("the environment", os.environ.copy, _write_environment),
    _value("the working directory", _folder, _write_folder),
    *(_attribute(f"sys.{name}", sys, name) for name in _STREAMS),
    _value("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    _value("signal handlers", _signals, _write_signals),
)


# --- Hooks --------------------------------------------------------------------------------------


def _hooks(name: str, registry: object) -> StatePart:
    report_name = "the hooks of all modules"
    if not isinstance(registry, dict):
        return _attribute(report_name, torch.nn.modules.module, name)

    def write(before: dict[Any, Any]) -> None:
        registry.clear()
        registry.update(before)

    return _value(report_name, registry.copy, write)


HOOKS: tuple[StatePart, ...] = tuple(
    _hooks(name, registry) for name, registry in _torch.hooks_on_all_modules().items()
)
