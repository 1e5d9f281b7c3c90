"""Which kernels compute an operator on which device: Triton's, or the reference.

The compiled kernels for CPU tensors are not here: the extension registers itself, and calls the
reference form of an operator where it was not chosen.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..contract.seed import as_int64
from . import cpu, triton

Kernel = Callable[..., torch.Tensor]

failed: dict[str, str] = {}  # operator: why its Triton kernel does not run
compared: set[tuple[str, torch.device, torch.dtype]] = set()  # and found equal to the reference


def elsewhere(operator: str, reference: Kernel) -> Kernel:
    """The function that an operator calls where no other is registered: the reference.

    On CPU tensors it runs the Triton kernel if that was chosen. It was chosen by name, so a failure
    of it is an error.
    """

    def run(x: torch.Tensor, key: torch.Tensor, *rest: Any) -> torch.Tensor:
        key, rest = placed(key, rest)
        chosen = cpu.current() == triton.NAME and x.device.type == "cpu"
        if chosen and triton.serves(operator, x, key):
            return triton.load(operator)(x, key, *rest)
        return reference(x, key, *rest)

    return run


def on_gpu(operator: str, reference: Kernel) -> Kernel:
    """The function that an operator calls on the devices of Triton.

    It runs the Triton kernel. If that fails, or if on this device it does not have the bits of the
    reference, one warning says why, and the reference runs from then on. The reference also runs if
    it was chosen by name.
    """

    def run(x: torch.Tensor, key: torch.Tensor, *rest: Any) -> torch.Tensor:
        key, rest = placed(key, rest)
        if _wanted(operator) and triton.serves(operator, x, key):
            try:
                kernel = triton.load(operator)
                what = operator, x.device, x.dtype
                if what not in compared and not _is_capturing(x):
                    _compare(kernel, reference, x, key, rest)
                    compared.add(what)
                return kernel(x, key, *rest)
            except (torch.OutOfMemoryError, torch.AcceleratorError):
                raise  # the device's: the reference would meet it too
            except Exception as error:
                _give_up(operator, _short(error))
        return reference(x, key, *rest)

    return run


def placed(key: torch.Tensor, rest: Sequence[Any]) -> tuple[torch.Tensor, tuple[Any, ...]]:
    """A key without its third number, which is added to the base among the other arguments.

    A compiled graph has the key as an input, and so a base that changes from call to call.
    """
    if key.ndim != 1 or key.shape[0] != 3:
        return key, tuple(rest)
    *others, base, strides = rest
    return key[:2], (*others, as_int64((base + int(key[2])) % 2**64), strides)


def at_its_place(kernel: Kernel) -> Kernel:
    """A kernel that also takes a key with a third number."""

    def run(x: torch.Tensor, key: torch.Tensor, *rest: Any) -> torch.Tensor:
        key, rest = placed(key, rest)
        return kernel(x, key, *rest)

    return run


def _is_capturing(x: torch.Tensor) -> bool:
    """Whether a CUDA graph is captured, which forbids to look at a result."""
    return x.device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def _compare(
    kernel: Kernel, reference: Kernel, x: torch.Tensor, key: torch.Tensor, rest: tuple[Any, ...]
) -> None:
    """Compare a kernel with the reference on the device of a first call, with its numbers.

    Two small tensors: a run of elements across a carry of the counter, and a transposed mask.

    Raises:
        RuntimeError: A bit differs.
    """
    *numbers, _base, _strides = rest
    values = torch.arange(-1500.0, 1500.0, device=x.device).div(7).to(x.dtype)
    values[::97] = -0.0
    for sample, base, strides in (
        (values, 2**34 - 1000, [1]),
        (values.view(60, 50), 2**35 - 999, [1, 60]),
    ):
        arguments = (sample, key, *numbers, base, strides)
        own, known = kernel(*arguments), reference(*arguments)
        bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[own.element_size()]
        same = (own.view(bits) == known.view(bits)) | (own.isnan() & known.isnan())
        if not bool(same.all()):
            wrong = sample.numel() - int(same.sum())
            raise RuntimeError(
                f"on {x.device} it gives other bits than the reference, for {wrong} of "
                f"{sample.numel()} elements of {x.dtype}. Please report this"
            )


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
