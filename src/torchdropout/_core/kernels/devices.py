"""Which kernels compute an operator on which device: Triton's, or the reference.

The compiled kernels for CPU tensors are not here: the extension registers itself, and calls the
reference form of an operator where it was not chosen.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from ...errors import ArgumentValueError, BackendError, TorchDropoutError
from ..contract.seed import as_int64, captures
from . import cpu, triton
from ._check import Check, check_memory

Kernel = Callable[..., Any]
# From a call's arguments to those of the small calls that are compared with the reference.
Samples = Callable[..., Iterator[tuple[Any, ...]]]
# Raises a RuntimeError where the results of a kernel are not those of the reference; the third
# argument is the tensor of the call.
Compare = Callable[[Any, Any, torch.Tensor], None]

# Faults of the device or the caller, which the reference would hit too.
FAULTS = (torch.OutOfMemoryError, torch.AcceleratorError, TorchDropoutError)
_PLACED = 3  # the size of a key with the number that `placed` takes off
OLDEST_CARD = (7, 0)  # the compute capability that Triton's compiler needs of an NVIDIA GPU

# One warning for each reason.
What = tuple[str, torch.device, torch.dtype]  # an operator, for tensors of a type on a device
failed: dict[What, str] = {}  # why a Triton kernel does not run
refused: dict[torch.device, str] = {}  # why no Triton kernel runs there; empty if they do
compared: set[What] = set()  # and found equal to the reference


def unchecked(*_: Any) -> None:
    """The check of a function whose callers have checked its arguments."""


def elsewhere(operator: str, reference: Kernel, check: Check = unchecked) -> Kernel:
    """The function that an operator calls where no other is registered: the reference.

    On CPU tensors it runs the Triton kernel if that was chosen. It was chosen by name, so a failure
    of it is an error.

    Args:
        operator: Its name.
        reference: The reference kernel.
        check: Raises an error if the kernels may not run with the arguments.
    """

    def run(x: torch.Tensor, key: torch.Tensor, *rest: Any) -> Any:
        if check is not unchecked:
            check(x, key, *rest)
            if not (x.data_ptr() and key.data_ptr()):
                check_memory(x, key)
        if key.shape[-1] == _PLACED:
            key, rest = placed(key, rest)
        chosen = cpu.current() == triton.NAME and x.device.type == "cpu"
        if chosen and triton.serves(operator, x, key, rest):
            return triton.load(operator)(x, key, *rest)
        return reference(x, key, *rest)

    return run


def samples_of_map(x: torch.Tensor, key: torch.Tensor, *rest: Any) -> Iterator[tuple[Any, ...]]:
    """Two small tensors: a run of elements across a carry of the counter, and a transposed mask."""
    *numbers, _base, _strides = rest
    values = sample(x)
    yield values, key, *numbers, 2**34 - 1000, [1]
    yield values.view(60, 50), key, *numbers, 2**35 - 999, [1, 60]


def sample(x: torch.Tensor) -> torch.Tensor:
    """3000 elements of the type and on the device of x."""
    values = torch.arange(-1500.0, 1500.0, device=x.device).div(7).to(x.dtype)
    values[::97] = -0.0
    return values


def same_bits(own: Any, known: Any, x: torch.Tensor) -> None:
    """Compare results of a kernel with those of the reference.

    Raises:
        RuntimeError: A bit differs.
    """
    if isinstance(own, tuple):
        for each in zip(own, known, strict=True):
            same_bits(*each, x)
        return
    if own.is_floating_point():
        bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[own.element_size()]
        same = (own.view(bits) == known.view(bits)) | (own.isnan() & known.isnan())
    else:
        same = own == known
    require(same, x)


def require(same: torch.Tensor, x: torch.Tensor) -> None:
    """Report where a kernel differs from the reference.

    Raises:
        RuntimeError: It does, somewhere.
    """
    if not bool(same.all()):
        wrong = same.numel() - int(same.sum())
        raise RuntimeError(
            f"on {x.device} its bits differ from the reference, for {wrong} of "
            f"{same.numel()} elements of {x.dtype}. Please report this"
        )


def on_gpu(
    operator: str,
    reference: Kernel,
    samples: Samples = samples_of_map,
    compare: Compare = same_bits,
    check: Check = unchecked,
) -> Kernel:
    """The function that an operator calls on the devices of Triton.

    It runs the Triton kernel. If that fails, or if on this device it does not give the bits of the
    reference, one warning says why, and the reference runs from then on; it is an error if Triton
    was chosen by name. The reference also runs if it was chosen by name.
    """

    def run(x: torch.Tensor, key: torch.Tensor, *rest: Any) -> Any:
        check(x, key, *rest)
        key, rest = placed(key, rest)
        what = operator, x.device, x.dtype
        if triton.serves(operator, x, key, rest) and _wanted(what):
            try:
                kernel = triton.load(operator)
                if what not in compared and not _is_capturing(x):
                    for arguments in samples(x, key, *rest):
                        compare(kernel(*arguments), reference(*arguments), x)
                    compared.add(what)
                return kernel(x, key, *rest)
            except FAULTS:
                raise
            except Exception as error:
                if _is_capturing(x):  # a capture can only use kernels that have run before
                    raise RuntimeError(
                        f"torchdropout's Triton kernel of {operator} does not run in the capture "
                        f"of a CUDA graph ({_short(error)}). Call the function before the capture, "
                        "with tensors of the same dtypes, shapes and strides."
                    ) from error
                _give_up(what, _short(error), error)
        if key.device.type != "cpu":
            raise ArgumentValueError(
                "Expected `key` to be a torchdropout.Key for a dropout that is captured in a CUDA "
                "graph and that no Triton kernel computes, got key=None (NoneType)."
            )
        return reference(x, key, *rest)

    return run


def placed(key: torch.Tensor, rest: tuple[Any, ...]) -> tuple[torch.Tensor, tuple[Any, ...]]:
    """A key without its third number, which is added to the base among the other arguments.

    A compiled graph has the key as an input, and so a base that changes from call to call.
    """
    if key.ndim != 1 or key.shape[0] != 3:
        return key, tuple(rest)
    *others, base, strides = rest
    return key[:2], (*others, as_int64((base + int(key[2])) % 2**64), strides)


def register(
    library: torch.library.Library, name: str, reference: Kernel, check: Check, samples: Samples
) -> None:
    """Register the kernels of an operator of one form: all that `define_map` registers of them."""
    library.impl(name, elsewhere(name, reference, check), "CompositeExplicitAutograd")
    on_devices(library, name, on_gpu(name, reference, samples, check=check))


def anywhere(operator: str, reference: Kernel, samples: Samples, compare: Compare) -> Kernel:
    """A function that is not an operator of torch, for every device."""
    on_others = elsewhere(operator, reference)
    on_these = on_gpu(operator, reference, samples, compare)

    def run(x: torch.Tensor, *rest: Any) -> Any:
        return (on_these if x.device.type in triton.DEVICES else on_others)(x, *rest)

    return run


def on_devices(library: torch.library.Library, name: str, kernel: Kernel) -> None:
    """Register a function of `on_gpu` for the devices of Triton."""
    for device in ("CUDA", "XPU"):  # a HIP device has the key of CUDA
        library.impl(name, kernel, device)


def serve(x: torch.Tensor) -> bool:
    """Whether Triton's kernels may serve x, by its device and the chosen backend."""
    kind = x.device.type
    return kind in triton.DEVICES or (kind == "cpu" and cpu.current() == triton.NAME)


def _is_capturing(x: torch.Tensor) -> bool:
    """Whether a CUDA graph is captured, which forbids reading a result."""
    return x.device.type == "cuda" and captures()


def ready(operator: str, x: torch.Tensor) -> Kernel | None:
    """The Triton kernel of an operator, if a call with such a tensor needs no further check."""
    if x.device.type == "cpu":  # in the interpreter, where Triton was chosen by name
        is_known = x.dtype in triton.DTYPES
    else:
        what = operator, x.device, x.dtype
        is_known = what in compared and what not in failed and not reference_chosen()
    return triton.load(operator) if is_known and not captures() else None


def _wanted(what: What) -> bool:
    operator, device, _dtype = what
    if reference_chosen():
        return False
    if device not in refused:
        why, known = triton.why_missing() or _too_old(device), [*refused.values()]
        refused[device] = why
        if why and why not in known and not cpu.triton_by:
            _warn("kernels do not run", why)
    why = refused[device] or failed.get(what, "")
    if why and cpu.triton_by:
        raise _unusable(operator, why)
    return not why


def _too_old(device: torch.device) -> str:
    """Why Triton cannot compile for an NVIDIA GPU; empty if it can, or it is another device."""
    if device.type != "cuda" or torch.version.hip is not None:
        return ""
    found = torch.cuda.get_device_capability(device)
    if found >= OLDEST_CARD:
        return ""
    needed = ".".join(map(str, OLDEST_CARD))
    return f"{device} has compute capability {found[0]}.{found[1]}, and Triton needs {needed}"


def reference_chosen() -> bool:
    """Whether the reference was chosen by name, and not because there are no compiled kernels."""
    return cpu.current() == cpu.REFERENCE and cpu.chosen_by != cpu.AUTO


def _short(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}".rstrip(": ")


def _give_up(what: What, reason: str, error: Exception) -> None:
    known = [*failed.values()]
    failed[what] = reason
    operator, device, dtype = what
    if cpu.triton_by:
        raise _unusable(operator, reason) from error
    if reason not in known:
        _warn(f"kernel of {operator} for {dtype} on {device} does not run", reason)


def _unusable(operator: str, reason: str) -> BackendError:
    return BackendError(
        f"Expected Triton's kernel of {operator} to run, since {cpu.triton_by} requests it, but it "
        f"cannot be used: {reason}."
    )


def _warn(what: str, reason: str) -> None:
    warnings.warn(
        f"torchdropout's Triton {what}: {reason}. On the GPU torch "
        "operations compute that instead, from now on: the same bits, but slower. "
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
        operators = ", ".join(triton.OPERATORS)
        gpu = f"triton: {operators}; reference: the others, complex numbers, keys of a vmap"
    if not reference_chosen():
        for (name, device, dtype), why in failed.items():
            gpu += f"; {name} for {dtype} on {device} does not run: {why}"
        refusals = {*refused.values()} - {"", triton.why_missing()}
        gpu += "".join(f"; reference: {why}" for why in sorted(refusals))
    if cpu.triton_by:
        gpu += f"; requested by {cpu.triton_by}, so that a kernel that cannot run is an error"
    return f"cpu: {cpu.current()} | {', '.join(triton.DEVICES)}: {gpu} | others: reference"
