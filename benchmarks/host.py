"""How long a call on a GPU keeps the processor, before anything runs there: no GPU is needed.

    python benchmarks/host.py           needs Triton (`pip install triton`) and Linux
    python benchmarks/host.py --check   exit code 1 if a call takes longer than docs/gpu.md says

Tensors lie in memory, Triton believes that there is an H100, compiles for it, and launches nothing.
What torch itself takes longer on a GPU, an allocation for example, is missing. Torch's function on
the same tensor is timed in alternation. It computes its result, of 16 elements, and launches nothing.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import harness
import machine
import torch
import triton
from harness import Candidate, Case, Plan
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

import torchdropout.functional as td
from torchdropout._core.kernels import cpu, devices
from torchdropout._core.kernels import triton as kernels

# Microseconds of docs/gpu.md.
MOST = {"forward": 20.0, "forward and backward": 45.0}
PLAN = Plan(budget_s=1.0, fewest=9, most=31)


class Launcher:
    """Takes what Triton's own launcher takes, and launches nothing."""

    def __init__(self, *_: Any) -> None:
        pass

    def __call__(self, *_: Any) -> None:
        pass


class Pretended:
    """What Triton asks a driver for."""

    launcher_cls = Launcher
    utils = SimpleNamespace(
        load_binary=lambda *_: (object(), object(), 32, 0, 1024),
        get_device_properties=lambda _: {"max_shared_mem": 232448},
    )

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)


def pretend() -> None:
    """Let Triton's kernels serve tensors on the CPU as they serve those on a GPU."""
    driver.set_active(Pretended())
    kernels.DEVICES = (*kernels.DEVICES, "cpu")
    if cpu.extension is not None:
        cpu.extension.select(None)
    from torchdropout._core.kernels.triton import elementwise, walk

    walk.is_current = elementwise.is_current = lambda _: True


def candidate(of: Any, mode: str) -> Candidate:
    x = torch.randn(16, requires_grad=mode != "forward")
    if mode == "forward":
        return Candidate(lambda: of.dropout(x, 0.1))
    return Candidate(harness.forward_backward(lambda: of.dropout(x, 0.1), torch.randn(16), [x]))


def main() -> int:
    pretend()
    print(machine.describe(machine.record()), "| Triton", triton.__version__)
    slow = 0
    for mode, most in MOST.items():
        both = {"ours": td, "torch": torch.nn.functional}
        case = Case(mode, lambda _, m=mode: {n: candidate(f, m) for n, f in both.items()}, (16,), torch.float32)
        found = harness.measure(case, PLAN)
        print(mode, found.ratio("ours", "torch"), most)
    return int("--check" in sys.argv and slow > 0)


if __name__ == "__main__":
    harness.become_warm()
    sys.exit(main())
