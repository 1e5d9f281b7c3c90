"""Kernels in Triton, one per file, for tensors on CUDA, HIP and XPU devices.

This file imports no Triton: `load` does, when an operator first gets a tensor that is served here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

import torch

NAME = "triton"
DEVICES = ("cuda", "xpu")  # torch calls a HIP device "cuda"
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
OPERATORS = {  # each operator's file here
    "masked_affine": "bernoulli",
    "noise_affine": "noise",
    "dropout_add": "add",
    "dropout_add_backward": "add_backward",
    "counted_affine": "counted",
    "drop_blocks": "drop_blocks",
    "masked_by_rates": "rates",
    "attention": "attention",
    "attention_backward": "attention",
    "keep_bits": "keep_bits",
}
LARGEST_GROUP = 4096  # of places, of which some are kept
# For attention: more features spill registers. A tensor core takes half types.
MOST_FEATURES = {torch.float32: 64, torch.float16: 128, torch.bfloat16: 128}
OLDEST = (3, 6)  # the version that torch 2.10 ships with
INTERPRETER = "TRITON_INTERPRET"


@cache
def why_missing() -> str:
    """Why there is no Triton to import; empty if there is, according to the installed packages."""
    # torch's builds for HIP and XPU ship it under other names.
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


def is_native() -> bool:
    """Whether the kernels run on a device here, and not in Triton's interpreter."""
    return os.environ.get(INTERPRETER) != "1" and (
        torch.cuda.is_available() or torch.xpu.is_available()
    )


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


def load(operator: str) -> Callable[..., Any]:
    """The kernel of an operator of `OPERATORS`, with the signature of its reference."""
    kernel: Callable[..., Any] = getattr(_file(OPERATORS[operator]), operator)
    return kernel


@cache
def _file(name: str) -> ModuleType:
    return import_module(f"{__name__}.{name}")


def serves(operator: str, x: torch.Tensor, key: torch.Tensor, rest: Sequence[Any] = ()) -> bool:
    """Whether there is a kernel for such arguments: real numbers, and one key for all.

    There is none for DropBlock with a count of kept places, for a group of more places than
    `LARGEST_GROUP`, or if a group keeps all or none; for attention in float64, with more features
    than `MOST_FEATURES`, or if nothing is kept.
    """
    if operator not in OPERATORS or x.dtype not in DTYPES or key.ndim != 1:
        return False
    if operator == "drop_blocks":
        dims, _block, count, *_ = rest
        return not count and int(dims) <= 3
    if operator == "counted_affine":
        kept, group, *_ = rest
        return bool(0 < kept < group <= LARGEST_GROUP)
    if OPERATORS[operator] == "attention":
        others = [t for t in rest if isinstance(t, torch.Tensor)]
        features, p = max(t.shape[-1] for t in (x, *rest[:2])), rest[-4]
        strided = all(t.layout == torch.strided for t in (x, *others))
        return bool(strided and features <= MOST_FEATURES.get(x.dtype, 0) and p < 1.0)
    return True
