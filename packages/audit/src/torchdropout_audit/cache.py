"""A cache of findings, under a hash of all that they depend on.

The cache only saves time: whatever is wrong with it, the run continues without it. Since it could
hide a finding, or be a database that is made to do harm, it is neither read nor written where
somebody else may have put it: in what is audited, or in a folder that is not the user's alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from .code import Place
from .dependencies import Asked
from .findings import Edit, Fix, SourceFinding
from .reporting.settings import FILE

_MOST = 50_000  # texts that are remembered; the oldest are forgotten first
_TABLE = "CREATE TABLE IF NOT EXISTS found (key BLOB PRIMARY KEY, findings TEXT)"


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Returns where the cache is: `TORCHDROPOUT_CACHE`, else the platform's folder for caches.

    Example:
        >>> cache_folder({"TORCHDROPOUT_CACHE": "here"})
        PosixPath('here')
    """
    if environment.get("TORCHDROPOUT_CACHE"):
        return Path(environment["TORCHDROPOUT_CACHE"])
    if environment.get("XDG_CACHE_HOME"):
        return Path(environment["XDG_CACHE_HOME"], "torchdropout")
    if sys.platform == "win32":
        return Path(environment.get("LOCALAPPDATA", Path.home()), "torchdropout", "Cache")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "torchdropout"
    return Path.home() / ".cache" / "torchdropout"


def folder_for(
    paths: Iterable[str | Path], environment: Mapping[str, str] = os.environ
) -> Path | None:
    """Returns where the cache of a run is; None if the environment has it in what is audited.

    Args:
        paths: The files and folders to audit. Each counts with the project that it is in, and so
            does the current folder.
        environment: As for `cache_folder`.
    """
    folder = cache_folder(environment)
    if folder == cache_folder({}):
        return folder
    real = folder.resolve()
    starts = (Path(path).resolve() for path in (os.curdir, *paths))
    for start in starts:
        above = (start, *start.parents)
        marked = (each for each in above if (each / ".git").exists() or (each / FILE).exists())
        if real.is_relative_to(next(marked, start)):
            return None
    return folder


def key_of(data: bytes, path: str, rules: Iterable[str]) -> bytes:
    """Hashes what the findings of a file depend on.

    What the path says is part of it, since what is right in a test is a mistake elsewhere; the
    folder that the path is relative to is not.
    """
    said = hashlib.sha256(_version())
    place = repr(Place.of(path)).encode()  # ASCII, or with errors that repr has escaped
    for part in (place, " ".join(sorted(rules)).encode(), data):
        said.update(f"{len(part)} ".encode() + part)
    return said.digest()


def asking_key_of(key: bytes, path: str) -> bytes:
    """Hashes the same, and where the file is, for findings that depend on other files, too."""
    return hashlib.sha256(key + os.fsencode(os.path.realpath(path))).digest()


@cache
def _version() -> bytes:
    """Hashes this package's sources and the parser's version: they decide what is found."""
    package = Path(__file__).parent
    said = hashlib.sha256(repr(sys.version_info).encode())
    # `reporting` may be a link to a folder: it is listed by name, as rglob does not follow links.
    for path in sorted({*package.rglob("*.py"), *(package / "reporting").glob("*.py")}):
        data = path.read_bytes()
        said.update(f"{path.relative_to(package)} {len(data)} ".encode() + data)
    return said.digest()


class Cache:
    """Findings under keys, in a file; a context manager that saves new ones when it exits.

    Args:
        folder: The folder of the file; created if necessary. With None nothing is remembered.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._database: Any = None
        self._new: dict[bytes, str] = {}

    def __enter__(self) -> Cache:
        if self._folder is not None:
            # On any error, go on without: the folder is read-only, the file is not a database.
            with suppress(Exception):
                self._database = _opened(self._folder / "audit.sqlite")
        return self

    def get(
        self, key: bytes, is_same: Callable[[Asked], bool] | None = None
    ) -> list[SourceFinding] | None:
        """Returns the findings under a key; None if the key is unknown, or they are of the past.

        Args:
            key: The key.
            is_same: Whether other files still say what the findings depend on.
        """
        if self._database is None:
            return None
        with suppress(Exception):
            query = "SELECT findings FROM found WHERE key = ?"
            row = self._database.execute(query, (key,)).fetchone()
            if row is not None:
                kept = json.loads(row[0])
                if isinstance(kept, dict):
                    asked = Asked(**kept["asked"])
                    if is_same is None or not is_same(asked):
                        return None
                    kept = kept["findings"]
                return [_finding(data) for data in kept]
        return None

    def put(
        self, key: bytes, findings: Iterable[SourceFinding], asked: Asked | None = None
    ) -> None:
        """Remembers findings under a key, and what they depend on in other files."""
        if self._database is not None:
            kept: Any = [asdict(finding) for finding in findings]
            if asked is not None:
                kept = {"asked": asdict(asked), "findings": kept}
            self._new[key] = json.dumps(kept)

    def __exit__(self, *error: object) -> None:
        if self._database is None:
            return
        with suppress(Exception):
            if self._new:
                self._keep()
        with suppress(Exception):
            self._database.close()

    def _keep(self) -> None:
        with self._database as database:  # a transaction: all or nothing
            database.executemany("INSERT OR REPLACE INTO found VALUES (?, ?)", self._new.items())
            database.execute(
                "DELETE FROM found WHERE rowid IN"
                " (SELECT rowid FROM found ORDER BY rowid DESC LIMIT -1 OFFSET ?)",
                (_MOST,),
            )


def _opened(path: Path) -> Any:
    """Opens the database in a file; a file that is not a database is replaced."""
    import sqlite3  # here, since Python may be built without it; then there is no cache

    path.parent.mkdir(0o700, parents=True, exist_ok=True)
    if not _is_private(path.parent):
        return None
    try:
        return _connected(path)
    except sqlite3.OperationalError:  # locked, or read-only
        return None
    except sqlite3.DatabaseError:
        path.unlink()
        return _connected(path)


def _is_private(folder: Path) -> bool:
    """Whether it is a folder, and no link to one, that only the user may write to."""
    if not hasattr(os, "geteuid"):  # Windows
        return True
    found = folder.lstat()
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return is_own and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _connected(path: Path) -> Any:
    import sqlite3

    database = sqlite3.connect(path, timeout=1)
    try:
        database.execute(_TABLE)
        database.execute("SELECT key, findings FROM found LIMIT 1").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def _finding(data: Mapping[str, Any]) -> SourceFinding:
    fix = data["fix"]
    if fix is not None:
        fix = Fix(fix["does"], tuple(Edit(**edit) for edit in fix["edits"]), fix["safe"])
    return SourceFinding(**{**data, "fix": fix})
