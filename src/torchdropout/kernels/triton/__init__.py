"""Kernels in Triton, one a file, for tensors on CUDA, HIP and XPU devices.

This file imports no Triton: `load` does, when an operator first meets a tensor that is served here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

import torch

NAME = "triton"
DEVICES = ("cuda", "xpu")  # torch calls a HIP device "cuda"
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
OPERATORS = {"masked_affine": "bernoulli", "noise_affine": "noise"}  # each operator's file here
OLDEST = (3, 6)  # the one that torch 2.10 brings
INTERPRETER = "TRITON_INTERPRET"


@cache
def why_missing() -> str:
    """Why there is no Triton to import; empty if there is, by what is known of it as installed."""
    # torch's builds for HIP and XPU bring it under other names.
    found = _installed(
        NAME, "triton-rocm", "triton-xpu", "pytorch-triton-rocm", "pytorch-triton-xpu"
    )
    if not found:
        return "Triton is not installed (`pip install triton`)"
    if tuple(int(part) for part in found.split(".")[:2]) < OLDEST:
        return f"Triton {found} is older than {'.'.join(map(str, OLDEST))}"
    return ""


def _installed(*names: str) -> str:
    """The version of the first of some distributions that is installed."""
    for name in names:
        with suppress(PackageNotFoundError):
            return version(name)
    return ""


def why_not_on_cpu() -> str:
    """Why CPU tensors cannot use these kernels; empty if they can, in Triton's interpreter."""
    if os.environ.get(INTERPRETER) != "1":
        return (
            f"on CPU tensors Triton's kernels run in its interpreter only; set {INTERPRETER}=1 "
            "before Python starts (tensors on a GPU use them without a request)"
        )
    if not why_missing() and not _installed("numpy"):
        return "Triton's interpreter needs NumPy (`pip install numpy`)"
    return why_missing()


def load(operator: str) -> Callable[..., torch.Tensor]:
    """The kernel of an operator of `OPERATORS`, with the signature of its reference."""
    module = import_module(f"{__name__}.{OPERATORS[operator]}")
    kernel: Callable[..., torch.Tensor] = getattr(module, operator)
    return kernel


def serves(operator: str, x: torch.Tensor, key: torch.Tensor) -> bool:
    """Whether there is a kernel for such arguments: real numbers, and one key for all."""
    return operator in OPERATORS and x.dtype in DTYPES and key.ndim == 1
