"""Replaces files atomically."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from .reading import read_bytes


def replace_file(path: Path, data: bytes, *, old: bytes | None = None) -> bool:
    """Writes a file atomically: until all of it is written, the old one stays.

    The owner, the group and the permissions stay; setuid and setgid are dropped, as the system does
    when a file is written. Only root can keep the owner of another user's file.

    Args:
        path: The file; for a link, the file that it points to is written.
        data: Its new contents.
        old: What it holds, so that no change by others is overwritten; with None, anything.

    Returns:
        False if the file no longer holds `old`; it is left as it is.

    Raises:
        OSError: It cannot be written, or its owner cannot be kept; the old file is unchanged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     replace_file(Path(folder) / "a.txt", b"new")
        ...     replace_file(Path(folder) / "a.txt", b"newer", old=b"other")
        ...     (Path(folder) / "a.txt").read_text()
        True
        False
        'new'
    """
    path = path.resolve()
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _keep_owner(path, temporary)
        temporary.chmod(_mode(path))
        if old is None or _holds(path, old):  # now, since writing may have taken a while
            temporary.replace(path)
            return True
    except BaseException:
        _remove(temporary)
        raise
    _remove(temporary)
    return False


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file holds these bytes; False if it cannot be read."""
    try:
        return read_bytes(path, len(data)) == data
    except OSError:
        return False


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _keep_owner(path: Path, new: Path) -> None:
    """Gives a new file the owner and the group of the old one, where there is one."""
    chown = getattr(os, "chown", None)
    if chown is None or not path.exists():
        return
    old, mine = path.stat(), new.stat()
    if (old.st_uid, old.st_gid) == (mine.st_uid, mine.st_gid):
        return
    try:
        chown(new, old.st_uid, old.st_gid)
    except PermissionError:
        if old.st_uid != mine.st_uid:  # the group alone may be one that the owner is not in
            raise


def _mode(path: Path) -> int:
    """The permissions of the old file, or those that a new one gets."""
    with contextlib.suppress(OSError):
        return stat.S_IMODE(path.stat().st_mode) & 0o777
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask
