"""What a target's code can change in this process: found, and restored."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import numpy as np
import torch

from .._tools.process_state import (
    AUTOCAST_DEVICES,
    HOOKS,
    MODES,
    PROCESS,
    ProcessState,
    generators,
    seed_generators,
    set_autocast,
)

# The generators of accelerators are not saved.
GENERATORS = generators(np)
_PARTS = (*MODES, *PROCESS, *HOOKS, *GENERATORS)


class World(ProcessState):
    """The state of this process when this object was made; `restore` restores it.

    Generators of torch, NumPy and Python; default dtype and device; grad and inference mode;
    autocast; number of threads; deterministic algorithms; anomaly detection; precision of matrix
    products; environment variables, folder, standard streams, recursion limit, signal handlers;
    torch's hooks on all modules. Warnings filters are left to `warnings.catch_warnings`.

    Example:
        >>> world = World()
        >>> torch.set_default_dtype(torch.float64)
        >>> world.restore()
        >>> torch.get_default_dtype()
        torch.float32
    """

    def __init__(self) -> None:
        super().__init__(_PARTS)


@contextlib.contextmanager
def own_world() -> Iterator[World]:
    """Sets a known state for a run, and yields it; afterwards the caller's is restored."""
    callers = World()
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            if torch.get_default_device().type != "cpu":
                stack.enter_context(torch.device("cpu"))
            torch.set_default_dtype(torch.float32)
            for device in AUTOCAST_DEVICES:
                set_autocast(device, False, torch.get_autocast_dtype(device))
            torch.set_num_threads(1)
            yield World()
    finally:
        callers.restore()


@contextlib.contextmanager
def fresh_modes(world: World | None = None) -> Iterator[None]:
    """For one check: records gradients, silences warnings, and undoes changes by the target."""
    world = world or World()
    try:
        with warnings.catch_warnings(), torch.inference_mode(False), torch.enable_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        world.restore()


@contextlib.contextmanager
def saved_generators() -> Iterator[None]:
    """Restores the generators of torch, NumPy and Python afterwards."""
    state = ProcessState(GENERATORS)
    try:
        yield
    finally:
        state.restore()


def seed_torch(seed: int) -> None:
    """Seeds torch's generator of the CPU only: `torch.manual_seed` seeds accelerators too."""
    torch.default_generator.manual_seed(seed)


def seed_all(seed: int) -> None:
    """Seeds the three global generators that a target may draw from."""
    seed_generators(seed, np)
