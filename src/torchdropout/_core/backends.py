"""Query and choose the backend that computes dropout of CPU tensors.

All backends give the same bits, at different speeds. `reference` consists of torch operations, and
runs on every other device too; `scalar`, `neon` (aarch64), `avx2` and `avx512` (x86-64) are
compiled kernels. At import the fastest that this processor can run is chosen, unless the
environment variable `TORCHDROPOUT_BACKEND` names one.

Tensors on CUDA, HIP and XPU devices use Triton's kernels by default, if there are any, and
the reference if it is chosen by name. If `triton` is chosen by name on a machine with such a
device, a kernel of Triton that cannot run is an error, and not a warning; CPU tensors keep their
kernels. Elsewhere `triton` is for comparing bits on CPU tensors: it is available where Triton is
installed and `TRITON_INTERPRET=1` was set before Python started, and is much slower than the
reference.
"""

from __future__ import annotations

from types import TracebackType

from ._validate import wrong_type
from .kernels import cpu


def available() -> tuple[str, ...]:
    """Names of the backends that can run on this machine, the slowest first.

    Example:
        >>> available()[0]
        'reference'
    """
    return cpu.available()


def current() -> str:
    """Name of the backend that currently runs CPU tensors.

    Example:
        >>> current() in available()
        True
    """
    return cpu.current()


def why() -> str:
    """One line: why the current backend runs, or why there are no compiled kernels.

    Example:
        >>> with use("reference"):
        ...     why()
        "requested by backends.use('reference')"
    """
    if cpu.chosen_by != cpu.AUTO:
        return f"requested by {cpu.chosen_by}"
    if cpu.why_missing:
        return f"there are no compiled kernels: {cpu.why_missing}"
    return "the fastest that this processor can run"


class use:  # noqa: N801  (reads as a function, which can be undone)
    """Make a backend run CPU tensors, in all threads; as a context manager, until its end.

    Args:
        name: One of `available()`, or "auto" for the fastest; "triton" if it has a GPU.

    Raises:
        ArgumentTypeError: `name` is not a string.
        BackendError: There is no such backend, or it cannot run on this machine; also a
            `RuntimeError`.

    Example:
        >>> before = current()
        >>> with use("reference"):
        ...     current()
        'reference'
        >>> current() == before
        True
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            wrong_type("name", "the name of a backend", name)
        self._before = cpu.choice()
        cpu.select(name, f"backends.use({name!r})")

    def __enter__(self) -> None:
        """Do nothing: the choice was made at construction."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Restore the previous backend."""
        cpu.select(*self._before)
