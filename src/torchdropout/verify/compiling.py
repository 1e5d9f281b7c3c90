"""How a target is compiled while it is checked."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

from .._core import _torch


class Tracer:
    """The backend `aot_eager`, which traces and does not generate code, with a count.

    Attributes:
        graphs: The number of graphs with an operation; 0 if the compiler leaves its
            target as it is, such as a scripted module.
    """

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, module: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        """Compile a graph."""
        self.graphs += any(n.op not in ("placeholder", "output") for n in module.graph.nodes)
        return _torch.compiler_backend()("aot_eager")(module, inputs)


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Allow a function to be recompiled for every target, p and shape, without a warning.

    Beyond its limit of 8 the compiler runs a function uncompiled, and the checks would test that
    instead of the compiled one. A graph may also be traversed twice, as the checks of gradients
    do. A failed trace is not an error of a dropout: its warnings are not printed.
    If the compiler, which takes seconds to load, is not loaded, nothing needs to be set.
    """
    if "torch._dynamo" not in sys.modules:
        yield
        return
    dynamo, functorch = _torch.compiler_settings(), _torch.gradient_settings()
    with (
        _quiet(logging.getLogger("torch._dynamo")),
        dynamo.patch(recompile_limit=sys.maxsize, accumulated_recompile_limit=sys.maxsize),
        functorch.patch(donated_buffer=False),
    ):
        yield


@contextlib.contextmanager
def around_compiling(begin: Callable[[], object], end: Callable[[], object]) -> Iterator[None]:
    """Call `begin` before the compiler runs, and `end` after it, unless it is not loaded."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    calls = _torch.compiler_calls()

    def begins(_: Any) -> None:
        begin()

    def ends(_: Any) -> None:
        end()

    calls.register_start_callback(begins)
    calls.register_end_callback(ends)
    try:
        yield
    finally:
        calls.remove_start_callback(begins)
        calls.remove_end_callback(ends)


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Only errors are logged, unless the user enabled more than warnings."""
    level = logger.level
    if logger.getEffectiveLevel() >= logging.WARNING:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
