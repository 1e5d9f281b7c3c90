"""Which backend computes dropout of CPU tensors: look, choose, force.

The bits are the same with each; the speed is not. `reference` is torch operations, and what every
other device runs; `scalar`, `neon` (aarch64), `avx2` and `avx512` (x86-64) are compiled kernels.
The fastest that this processor can run is chosen at import, unless the environment variable
`TORCHDROPOUT_BACKEND` names one.
"""

from __future__ import annotations

from types import TracebackType

from ._validate import wrong_type
from .kernels import cpu


def available() -> tuple[str, ...]:
    """Names of the backends that can run here, the slowest first.

    Example:
        >>> available()[0]
        'reference'
    """
    return cpu.available()


def current() -> str:
    """Name of the backend that runs CPU tensors now.

    Example:
        >>> current() in available()
        True
    """
    return cpu.current()


def why() -> str:
    """One line: why that one runs, and why there are no compiled kernels if there are none.

    Example:
        >>> with use("reference"):
        ...     why()
        "asked for by backends.use('reference')"
    """
    if cpu.chosen_by != cpu.AUTO:
        return f"asked for by {cpu.chosen_by}"
    if cpu.why_missing:
        return f"there are no compiled kernels: {cpu.why_missing}"
    return "the fastest that this processor can run"


class use:  # noqa: N801  (reads as a function, and is one with a way back)
    """Make a backend run CPU tensors, in all threads; as a context manager, until its end.

    Args:
        name: One of `available()`, or "auto" for the fastest.

    Raises:
        ArgumentTypeError: `name` is no string.
        BackendError: There is no such backend, or it cannot run here; also a `RuntimeError`.

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
        self._before = cpu.current(), cpu.chosen_by
        cpu.select(name, f"backends.use({name!r})")

    def __enter__(self) -> None:
        """The choice was made when this was built."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Back to what ran before."""
        cpu.select(*self._before)
