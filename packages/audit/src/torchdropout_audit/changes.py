"""Which files have changed since a revision, as git says.

A repository can name programs for git to run: filters, hooks, a monitor of its files, a transport
for missing objects, and more with each version of git, so that no list of them is complete.
Therefore git compares the files in a second, temporary repository. That one has the objects and the
index of the first, but only those of its settings that decide what has changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .errors import ArgumentValueError

_BRANCHING = "..."
_SETTINGS = (
    "autocrlf|checkstat|eol|excludesfile|filemode|ignorecase|precomposeunicode|symlinks|trustctime"
)
_MOST_SECONDS = 600.0  # that a command of git may take
_MOST_BYTES = 500_000_000  # of an index


def changed(
    files: Sequence[str], paths: Sequence[str | Path], revision: str, *, respect_gitignore: bool
) -> tuple[list[str], list[str]]:
    """Finds the files that have changed since a revision, or are new.

    A link has changed if it or its target has.

    Args:
        files: The files at or below the paths.
        paths: Files and folders; each may be in another repository.
        revision: A commit, branch or tag, with which the files as they are now are compared. With
            `...` at its end, the last commit that the revision and the current branch have in
            common takes its place.
        respect_gitignore: False to count what git ignores as new.

    Returns:
        Those of the files that have changed; and a problem, one line, for each path whose files are
        all in repositories below it, which are not compared.

    Raises:
        ArgumentValueError: There is no git, a path is not in a work tree, or the revision is
            unknown there.
    """
    trees = dict(_work_tree(Path(path)) for path in paths if Path(path).exists())
    names = {
        os.path.join(top, os.path.normpath(name))  # noqa: PTH118
        for top, repository in trees.items()
        for name in _names(top, repository, revision, respect_gitignore)
    }
    real = cache(os.path.realpath)
    found = []
    folders = set()
    for file in files:
        folder, name = os.path.split(os.path.abspath(file))  # noqa: PTH100
        place = os.path.join(real(folder), name)  # noqa: PTH118
        if place in names or (os.path.islink(place) and os.path.realpath(place) in names):  # noqa: PTH114
            found.append(file)
        folders.add(Path(real(folder)))
    return found, list(_not_compared(paths, folders))


def _not_compared(paths: Sequence[str | Path], folders: set[Path]) -> Iterator[str]:
    """Yields a problem for each path whose files are all in repositories below it.

    Args:
        paths: Files and folders.
        folders: The folders that hold files to audit.
    """
    for path in filter(os.path.isdir, paths):
        top = Path(path).resolve()
        below = [folder for folder in folders if folder.is_relative_to(top)]
        others = [other for folder in below if (other := _repository_below(top, folder))]
        if others and len(others) == len(below):
            yield (
                f"{path}: nothing was compared: its files are in other repositories, such as "
                f"{min(others)}; name that one to audit what has changed in it"
            )


def _repository_below(top: Path, folder: Path) -> Path | None:
    """Returns the repository of a folder, if it is below another folder."""
    while folder != top:
        if (folder / ".git").exists():
            return folder
        folder = folder.parent
    return None


def _work_tree(path: Path) -> tuple[str, str]:
    """Returns the top of the work tree that a path is in, and where its repository is.

    Git would also take a folder for a repository that has no `.git` but looks like the inside of
    one; such a folder can be part of an ordinary clone.
    """
    folder = path if path.is_dir() else path.parent
    start = folder.resolve()
    if "GIT_DIR" in os.environ:  # set by the user, or by git for a hook
        top = Path(os.environ.get("GIT_WORK_TREE", ".")).resolve()
        if start.is_relative_to(top):
            return str(top), os.path.abspath(os.environ["GIT_DIR"])  # noqa: PTH100
    ceilings = os.environ.get("GIT_CEILING_DIRECTORIES", "").split(os.pathsep)
    for top in (start, *start.parents):
        if top != start and str(top) in ceilings:
            break
        if (top / ".git").exists():
            return str(top), str(top / ".git")
    raise _not_in_work_tree(str(folder), "not a git repository, and in none")


@dataclass(frozen=True)
class _Git:
    """How git is run.

    Attributes:
        top: The top of the work tree.
        environment: The environment, which names the repository.
    """

    top: str
    environment: Mapping[str, str]

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Runs a command of git."""
        command = (_program(), "-C", self.top, *arguments)
        try:
            return subprocess.run(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_MOST_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ArgumentValueError(f"Expected `since` to run git, got: {error}") from error

    def names(self, *arguments: str) -> list[str]:
        """Returns the names that a command lists, each with a NUL after it."""
        done = self(*arguments)
        if done.returncode:
            raise ArgumentValueError(
                f"Expected git to list the files of {self.top}, got an error: {_said(done)}"
            )
        return os.fsdecode(done.stdout).split("\0")[:-1]


def _names(top: str, repository: str, revision: str, respect_gitignore: bool) -> list[str]:
    """Returns the files that differ from a revision or are not tracked, relative to the top."""
    git = _Git(top, _environment(with_settings=True) | {"GIT_DIR": repository})
    done = git("rev-parse", "--show-object-format", "--absolute-git-dir")
    if done.returncode:
        raise _not_in_work_tree(top, _said(done))
    form, _, folder = _text(done).partition("\n")
    commit = _commit(git, revision)
    # The exit code is 1 if there are no such settings.
    settings = _text(git("config", "-z", "--get-regexp", rf"^core\.({_SETTINGS})$"))
    given = [
        argument
        for entry in settings.split("\0")[:-1]
        for argument in ("-c", entry.replace("\n", "=", 1))
    ]
    ignored = ("--exclude-standard",) if respect_gitignore else ()
    with _second(Path(folder), form) as environment:
        git = _Git(top, environment | {"GIT_WORK_TREE": top})
        # A file that was renamed is listed under its new name.
        options = ("-z", "--name-only", "--no-renames", "--ignore-submodules=all")
        listed = git.names(*given, "diff", *options, commit, "--")
        return listed + git.names(*given, "ls-files", "-z", "--others", *ignored)


def _commit(git: _Git, revision: str) -> str:
    """Returns the name of the commit to compare with."""
    named = revision.removesuffix(_BRANCHING)
    if named and not named.startswith("-") and "\0" not in named:
        done = git("rev-parse", "--verify", "--quiet", f"{named}^{{commit}}")
        if not done.returncode and named != revision:
            done = git("merge-base", _text(done), "HEAD")
        if not done.returncode:
            return _text(done)
    is_shallow = _text(git("rev-parse", "--is-shallow-repository")) == "true"
    hint = "; the clone is shallow, and may lack it" if is_shallow else ""
    raise ArgumentValueError(
        f"Expected `since` to be a revision of {git.top}, got {revision!r} (str){hint}"
    )


@contextmanager
def _second(first: Path, form: str) -> Iterator[dict[str, str]]:
    """Makes a repository with the objects and the index of another, and without its settings.

    Args:
        first: The folder of the other repository.
        form: Its format of objects, `sha1` or `sha256`.

    Yields:
        The environment in which git uses it.
    """
    shared = first  # by all work trees of the repository
    with suppress(FileNotFoundError):
        shared = first / os.fsdecode((first / "commondir").read_bytes()).rstrip("\r\n")
    with tempfile.TemporaryDirectory(prefix="torchdropout-") as name:
        second = Path(name)
        for folder in ("refs", "info"):
            (second / folder).mkdir()
        for file in (shared / "info/exclude", shared / "info/attributes"):
            _copy(file, second / "info")
        for file in (first / "index", *first.glob("sharedindex.*")):
            _copy(file, second)
        (second / "HEAD").write_text("ref: refs/heads/none\n")
        version = "1\n[extensions]\nobjectFormat = sha256" if form == "sha256" else "0"
        (second / "config").write_text(f"[core]\nrepositoryFormatVersion = {version}\n")
        yield _environment(with_settings=False) | {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_DIR": name,
            "GIT_OBJECT_DIRECTORY": str(shared / "objects"),
        }


def _copy(file: Path, folder: Path) -> None:
    """Copies a file, if there is one; git would write to the index itself."""
    if file.is_file() and file.stat().st_size <= _MOST_BYTES:
        shutil.copyfile(file, folder / file.name)


def _environment(*, with_settings: bool) -> dict[str, str]:
    """Returns the environment for a git that fetches no missing objects.

    Args:
        with_settings: Whether git takes settings from the environment.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or (with_settings and name.startswith("GIT_CONFIG"))
    }
    # Versions before 2.45 do not know the first of these; they fetch, but may use no protocol.
    return kept | {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": ""}


def _program() -> str:
    """Returns the path of git, which is not a program of that name in the current folder."""
    name = "git.exe" if sys.platform == "win32" else "git"
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    for path in (Path(folder, name) for folder in folders if Path(folder).is_absolute()):
        if path.is_file() and os.access(path, os.X_OK):
            return str(path)
    raise ArgumentValueError("Expected `since` to find the program git in PATH, got none")


def _not_in_work_tree(folder: str, why: str) -> ArgumentValueError:
    return ArgumentValueError(
        f"Expected `since` to be used in a git work tree, got {folder!r} ({why})"
    )


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = os.fsdecode(done.stderr).strip().splitlines() or [f"exit code {done.returncode}"]
    return lines[0].removeprefix("fatal: ")


def _text(done: subprocess.CompletedProcess[bytes]) -> str:
    return os.fsdecode(done.stdout).removesuffix("\n")
