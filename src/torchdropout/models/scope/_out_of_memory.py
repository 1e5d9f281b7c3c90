"""Out of memory: an error that is not the model's, and from which nothing can be concluded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

_SIGNS = ("out of memory", "not enough memory", "can't allocate memory", "STATUS_ALLOC_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on a CPU."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


@contextlib.contextmanager
def may_fail() -> Iterator[None]:
    """Suppress the errors of a trial forward, except out-of-memory errors."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Make an out-of-memory error say that it arose while finding sites, and what helps."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            error.args = (
                "Out of memory while finding the sites of a model, which takes forwards of two "
                "and of three samples. Find them with smaller samples, such as images of fewer "
                "pixels: by `find_sites`, for `keyed(sites=)`, or by `MCDropout.plan` before the "
                f"first call. ({type(error).__name__}: {error})",
            )
        raise
