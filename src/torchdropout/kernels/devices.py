"""Which kernels compute an operator on which device: Triton's, or the reference.

The compiled kernels for CPU tensors are not here: the extension registers itself, and calls the
reference form of an operator where it was not chosen.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch

from . import cpu, triton

Kernel = Callable[..., torch.Tensor]

failed: dict[str, str] = {}  # operator: why its Triton kernel does not run


def elsewhere(operator: str, reference: Kernel) -> Kernel:
    """The function that an operator calls where no other is registered: the reference.

    On CPU tensors it runs the Triton kernel if that was chosen. It was chosen by name, so a failure
    of it is an error.
    """

    def run(x: torch.Tensor, key: torch.Tensor, *rest: Any) -> torch.Tensor:
        chosen = cpu.current() == triton.NAME and x.device.type == "cpu"
        if chosen and triton.serves(operator, x, key):
            return triton.load(operator)(x, key, *rest)
        return reference(x, key, *rest)

    return run


def on_gpu(operator: str, reference: Kernel) -> Kernel:
    """The function that an operator calls on the devices of Triton.

    It runs the Triton kernel. If that fails, one warning says why, and the reference runs from then
    on. The reference also runs if it was chosen by name.
    """

    def run(x: torch.Tensor, key: torch.Tensor, *rest: Any) -> torch.Tensor:
        if _wanted(operator) and triton.serves(operator, x, key):
            try:
                return triton.load(operator)(x, key, *rest)
            except (torch.OutOfMemoryError, torch.AcceleratorError):
                raise  # the device's: the reference would meet it too
            except Exception as error:
                _give_up(operator, _short(error))
        return reference(x, key, *rest)

    return run


def _wanted(operator: str) -> bool:
    if operator in failed or reference_chosen():
        return False
    missing = triton.why_missing()
    if missing:
        _give_up(operator, missing)
    return not missing


def reference_chosen() -> bool:
    """Whether the reference was chosen by name, and not for want of compiled kernels."""
    return cpu.current() == cpu.REFERENCE and cpu.chosen_by != cpu.AUTO


def _short(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}".rstrip(": ")


def _give_up(operator: str, reason: str) -> None:
    failed[operator] = reason
    warnings.warn(
        f"torchdropout's Triton kernel of {operator} does not run: {reason}. On the GPU torch "
        "operations compute it instead, from now on: the same bits, slowly. "
        f"Set {cpu.VARIABLE}={cpu.REFERENCE} to silence this warning.",
        RuntimeWarning,
        stacklevel=2,
    )


def serving() -> str:
    """One line: which kernels serve which devices."""
    if reference_chosen():
        gpu = f"reference, requested by {cpu.chosen_by}"
    elif triton.why_missing():
        gpu = f"reference: {triton.why_missing()}"
    else:
        gpu = "triton: " + ", ".join(triton.OPERATORS) + "; reference: the others"
    if failed and not reference_chosen():
        gpu += "; " + "; ".join(f"{name} does not run: {why}" for name, why in failed.items())
    return f"cpu: {cpu.current()} | {', '.join(triton.DEVICES)}: {gpu} | others: reference"
