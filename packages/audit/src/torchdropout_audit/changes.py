"""Which files have changed since a revision, as git says."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from .errors import ArgumentValueError

_BRANCHING = "..."
# No program that the repository's own settings name is run to list files.
_GIT = ("git", "-c", "core.fsmonitor=false")


class Changed:
    """Whether a file has changed since a revision, or is new.

    Args:
        revision: A commit, branch or tag, with which the files as they are now are compared. With
            `...` at its end, the last commit that the revision and the current branch have in
            common takes its place.
        paths: The files and folders that are asked about; each may be in another repository.
        respect_gitignore: False to count what git ignores as new.

    Raises:
        ArgumentValueError: There is no git, a path is not in a work tree, or the revision is
            unknown there.
    """

    def __init__(
        self, revision: str, paths: Iterable[str | Path], *, respect_gitignore: bool
    ) -> None:
        tops = dict.fromkeys(_top(_folder(path)) for path in paths if os.path.exists(path))  # noqa: PTH110
        self._files = frozenset(
            os.path.join(top, os.path.normpath(name))  # noqa: PTH118
            for top in tops
            for name in _names(top, revision, respect_gitignore)
        )

    def __call__(self, path: str) -> bool:
        """Whether the file at a path has changed; for a link, whether it or its target has."""
        folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100
        inside = os.path.join(os.path.realpath(folder), name)  # noqa: PTH118
        return inside in self._files or os.path.realpath(path) in self._files


def _folder(path: str | Path) -> str:
    return str(path) if os.path.isdir(path) else os.path.dirname(path) or "."  # noqa: PTH112, PTH120


def _top(folder: str) -> str:
    """Returns the top of the work tree that a folder is in."""
    done = _git(folder, "rev-parse", "--show-toplevel")
    if done.returncode:
        raise ArgumentValueError(
            f"Expected `since` to be used in a git work tree, got {folder!r} ({_said(done)})"
        )
    return os.path.realpath(os.fsdecode(done.stdout).removesuffix("\n"))


def _names(top: str, revision: str, respect_gitignore: bool) -> list[str]:
    """Returns the files that differ from a revision or are not tracked, relative to the top."""
    named = revision.removesuffix(_BRANCHING)
    commit = _commit(top, named)
    if commit is not None and named != revision:
        done = _git(top, "merge-base", commit, "HEAD")
        commit = os.fsdecode(done.stdout).strip() if not done.returncode else None
    if commit is None:
        shallow = _git(top, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
        hint = "; the clone is shallow, and may lack it" if shallow else ""
        raise ArgumentValueError(
            f"Expected `since` to be a revision of {top}, got {revision!r} (str){hint}"
        )
    # A file that was renamed is listed under its new name.
    listed = _need(top, "diff", "-z", "--name-only", commit, "--")
    ignored = ("--exclude-standard",) if respect_gitignore else ()
    return listed + _need(top, "ls-files", "-z", "--others", *ignored)


def _commit(top: str, revision: str) -> str | None:
    if not revision or revision.startswith("-") or "\0" in revision:
        return None
    done = _git(top, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    return None if done.returncode else os.fsdecode(done.stdout).strip()


def _need(top: str, *arguments: str) -> list[str]:
    """Returns the names that git lists, each with a NUL after it."""
    done = _git(top, *arguments)
    if done.returncode:
        raise ArgumentValueError(
            f"Expected git to list the files of {top}, got an error: {_said(done)}"
        )
    return os.fsdecode(done.stdout).split("\0")[:-1]


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = os.fsdecode(done.stderr).strip().splitlines() or [f"exit code {done.returncode}"]
    return lines[0].removeprefix("fatal: ")


def _git(folder: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command: Sequence[str] = (*_GIT, "-C", folder, *arguments)
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise ArgumentValueError(
            f"Expected `since` to find the program git, got: {error.strerror or error}"
        ) from error
