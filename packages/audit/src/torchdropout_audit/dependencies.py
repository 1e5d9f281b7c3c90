"""What findings depend on in the other files of a project, by hashes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .files import NOT_SOURCE
from .reporting.reading import read_bytes

MOST_BYTES = 200_000
"""Bytes of the longest file that is read for the sake of another."""

_MOST_SEEN = 20_000  # files and folders of a project that is searched for callers
_MOST_SEARCHED = 50_000_000  # bytes of all files that are searched
_NOT_READ = ""  # the hash of a missing file, or of one that is too long


@dataclass(frozen=True)
class Asked:
    """What was asked of other files; findings hold for as long as all of it is the same.

    Attributes:
        names: A hash of the paths of the Python files of the project.
        files: The files that were read, each with a hash of what is in it.
        texts: A hash of all files if they were searched; else "".
    """

    names: str
    files: tuple[tuple[str, str], ...] = ()
    texts: str = ""


class Sources:
    """The Python files of a project, which are taken to stay as they are.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._hashes: dict[Path, str] = {}

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

    def asked(self, files: Collection[Path], is_searched: bool) -> Asked | None:
        """Returns what to compare later; None if not all files of the project are known."""
        if self._names is None:
            return None
        read = tuple((str(path), self._hash(path)) for path in sorted(files))
        return Asked(self._names, read, self._all if is_searched else "")

    def still(self, asked: Asked) -> bool:
        """Whether all that was asked is the same."""
        return (
            asked.names == self._names
            and all(self._hash(Path(path)) == said for path, said in asked.files)
            and (not asked.texts or asked.texts == self._all)
        )

    @cached_property
    def _names(self) -> str | None:
        files, is_whole = self._walked
        links = {path: path.readlink() for path in files if path.is_symlink()}
        said = "\0".join(f"{path}\0{links.get(path, '')}" for path in files)
        return hashlib.sha256(os.fsencode(said)).hexdigest() if is_whole else None

    @cached_property
    def _all(self) -> str:
        said = hashlib.sha256()
        for path, text in self.texts.items():
            said.update(os.fsencode(path) + b"\0" + hashlib.sha256(text).digest())
        return said.hexdigest()

    def _hash(self, path: Path) -> str:
        if path not in self._hashes:
            self._hashes[path] = _NOT_READ
            with suppress(OSError):  # it is not there
                self._hashes[path] = hashlib.sha256(read_bytes(path, MOST_BYTES)).hexdigest()
        return self._hashes[path]
