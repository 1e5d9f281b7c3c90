"""Reads files that nobody trusts: never without end, and without waiting."""

from __future__ import annotations

import errno
import io
import os
import stat

_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NOCTTY", "O_NONBLOCK")
)
_CHUNK = 65_536


def read_bytes(path: str | os.PathLike[str], most: int) -> bytes:
    """Reads a file.

    A pipe, a device, and a file of `/proc` without an end are not waited for.

    Args:
        path: The file.
        most: How many bytes it may have.

    Raises:
        OSError: It cannot be read, is not a file, or is too long.

    Example:
        >>> b"def read_bytes" in read_bytes(__file__, 1_000_000)
        True
        >>> read_bytes(__file__, 10)
        Traceback (most recent call last):
        OSError: [Errno 27] ... bytes, more than the limit of 10
    """
    descriptor = os.open(path, _FLAGS)
    with io.FileIO(descriptor) as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "neither a file nor a folder")
        if about.st_size > most:
            raise _too_long(f"{about.st_size:,}", most)
        parts = []
        left = most
        while part := file.read(max(about.st_size, _CHUNK) + 1):
            parts.append(part)
            left -= len(part)
            if left < 0:
                raise _too_long(f"{most - left:,} or more", most)
        if part is None:
            raise BlockingIOError(errno.EAGAIN, "it has no end that could be read now")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_long(size: str, most: int) -> OSError:
    return OSError(errno.EFBIG, f"{size} bytes, more than the limit of {most:,}")
