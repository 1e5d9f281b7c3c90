"""The Python files of a project: what is in them, and a hash of all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from .files import NOT_SOURCE
from .reporting.reading import read_bytes

MOST_BYTES = 200_000
"""Bytes of the longest file that is read for the sake of another."""

_MOST_SEEN = 20_000  # files and folders of a project that is searched for callers
_MOST_SEARCHED = 50_000_000  # bytes of all files that are searched


class Sources:
    """The Python files of a project, which are taken to stay as they are.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @cached_property
    def _walked(self) -> tuple[Sequence[Path], bool]:
        """The files, and whether that is all of them."""
        found: list[Path] = []
        is_whole, seen = True, 0
        for folder, folders, files in os.walk(self._root):
            seen += len(folders) + len(files)
            if seen > _MOST_SEEN:
                return (), False
            if "pyvenv.cfg" in files:
                folders.clear()
                continue
            folders[:] = sorted(
                each for each in folders if each not in NOT_SOURCE and not each.startswith(".")
            )
            # What a link leads to is not walked.
            is_whole &= not any(os.path.islink(os.path.join(folder, each)) for each in folders)  # noqa: PTH114, PTH118
            found += [Path(folder, each) for each in sorted(files) if each.endswith(".py")]
        return found, is_whole

    @cached_property
    def texts(self) -> Mapping[Path, bytes]:
        """What is in each file; nothing if there is too much to search."""
        found: dict[Path, bytes] = {}
        left = _MOST_SEARCHED
        for path in self._walked[0]:
            try:
                left -= path.stat().st_size
                if left < 0:
                    return {}
                found[path] = read_bytes(path, MOST_BYTES)
            except OSError:
                continue
        return found

    @cached_property
    def digest(self) -> bytes:
        """A hash of all files, where each is and what is in it; empty if not all are known."""
        if not self._walked[1] or (self._walked[0] and not self.texts):
            return b""
        said = hashlib.sha256()
        for path in self._walked[0]:
            text = hashlib.sha256(self.texts.get(path, b"")).digest()
            said.update(os.fsencode(path) + b"\0" + text)
        return said.digest()
