"""How long a dropout on a GPU keeps the processor, before anything runs there; no GPU is needed.

    python benchmarks/host.py        needs Triton (`pip install triton`)

Triton believes that there is an H100, compiles for it, and launches nothing. The tensors lie in the
memory of the processor. Torch's own function on the same 16 elements is timed in alternation: it
computes them, which takes some hundred nanoseconds. The number of calls of functions, in Python and
from Python, does not depend on the machine; a test watches it.
"""

from __future__ import annotations

import cProfile
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import harness
import machine
import torch
import torch.nn.functional as F
import triton
from harness import Candidate, Case, Plan
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

import torchdropout.functional as td
from torchdropout._core.kernels import cpu
from torchdropout._core.kernels import triton as kernels

FUNCTIONS = ("dropout", "dropout2d", "alpha_dropout")
MODES = ("forward", "backward")
PLAN = Plan(budget_s=1.0, fewest=9, most=31)


class Launcher:
    """Takes what Triton's own launcher takes, and launches nothing."""

    taken: tuple[Any, ...] = ()  # the last arguments, for a test

    def __init__(self, *_: Any) -> None:
        pass

    def __call__(self, *arguments: Any) -> None:
        """Keep the arguments."""
        Launcher.taken = arguments


class Driver:
    """What Triton asks of the driver of an H100; the names are Triton's."""

    launcher_cls = Launcher
    utils = SimpleNamespace(
        load_binary=lambda *_: (object(), object(), 32, 0, 1024),
        get_device_properties=lambda _: {"max_shared_mem": 232448},
    )

    get_current_device = staticmethod(lambda: 0)
    get_current_stream = staticmethod(lambda _: 0)
    get_current_target = staticmethod(lambda: GPUTarget("cuda", 90, 32))


def pretend() -> None:
    """Let Triton's kernels serve tensors on the CPU as they serve those on a GPU."""
    from torchdropout._core.kernels.triton import elementwise

    driver.set_active(Driver())
    kernels.DEVICES = (*kernels.DEVICES, "cpu")
    if cpu.extension is not None:
        cpu.extension.select(None)  # of such tensors it has no kernels
    elementwise.is_current = lambda _: True


def call(of: Any, function: str, mode: str) -> Callable[[], object]:
    shape = (16,) if function != "dropout2d" else (1, 2, 2, 4)
    x = torch.randn(shape, requires_grad=mode == "backward")
    forward = lambda: getattr(of, function)(x, 0.1, True)  # noqa: E731
    if mode == "forward":
        return forward
    return harness.with_backward({"": forward}, [x])[""].call


def count(function: Callable[[], object]) -> int:
    """Functions that are called by a call which is not the first."""
    for _ in range(3):
        function()
    profile = cProfile.Profile()
    profile.enable()
    function()
    profile.disable()
    return sum(each.callcount for each in profile.getstats()) - 1  # `disable`


def main() -> None:
    pretend()
    print(machine.describe(machine.record()), "Triton", triton.__version__)
    for function in FUNCTIONS:
        for mode in MODES:
            made = {name: call(of, function, mode) for name, of in {"ours": td, "torch": F}.items()}

            def candidates(_: Case, made: Any = made) -> dict[str, Candidate]:
                return {name: Candidate(each) for name, each in made.items()}

            name = f"{function}, {mode}"
            found = harness.measure(Case(name, candidates, (16,), torch.float32), PLAN)
            print(f"{name:24} {found.ratio('ours', 'torch')}  {count(made['ours'])} calls")


if __name__ == "__main__":
    harness.become_warm()
    main()
