"""Which files are audited, and how they are read and written."""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .reporting.atomic import replace_file
from .reporting.findings import Rule

_BOM = b"\xef\xbb\xbf"

SUFFIXES = (".py", ".ipynb")

# Folders that hold no source of one's own. Only what lies below a named folder is left out.
NOT_SOURCE = frozenset(
    [
        ".bzr",
        ".direnv",
        ".eggs",
        ".git",
        ".hg",
        ".ipynb_checkpoints",
        ".mypy_cache",
        ".nox",
        ".pants.d",
        ".pyenv",
        ".pytest_cache",
        ".pytype",
        ".ruff_cache",
        ".svn",
        ".tox",
        ".venv",
        ".vscode",
        "__pycache__",
        "__pypackages__",
        "_build",
        "buck-out",
        "build",
        "dist",
        "node_modules",
        "site-packages",
        "venv",
    ]
)


class UnreadableError(Exception):
    """A file holds no source: its message says why, in a few words.

    Attributes:
        line: Where that shows.
    """

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.line = line


UNREADABLE = Rule(
    "TD002",
    "unreadable",
    "files",
    "error",
    "The file holds text, or a notebook, that can be read.",
    "A source is decoded as Python does it: by its byte order mark or its coding comment, else as "
    "UTF-8. A notebook is JSON of nbformat 4. A file that speaks of dropout and is neither is not "
    "audited.",
)


@dataclass(frozen=True)
class Source:
    """The text of a file, and what is needed to write it again.

    Attributes:
        text: The text; its line ends are those of the file.
        encoding: The name of the codec.
        bom: Whether the file begins with a byte order mark, which is not in the text.
    """

    text: str
    encoding: str = "utf-8"
    bom: bool = False

    def encoded(self, text: str) -> bytes:
        """The bytes of the file, were this its text.

        Raises:
            UnicodeEncodeError: The file's codec lacks a character.
        """
        return (_BOM if self.bom else b"") + text.encode(self.encoding)


def read_source(data: bytes, *, is_python: bool = True) -> Source:
    r"""Decodes a Python source as Python does: by its byte order mark or its coding comment.

    Args:
        data: The bytes of the file.
        is_python: False for a notebook, which is UTF-8 whatever it says.

    Returns:
        The text and how it was coded.

    Raises:
        UnreadableError: The bytes are not of the encoding, or there is no such encoding.

    Example:
        >>> read_source(b"# coding: latin-1\ns = '\xe9'\n").text
        "# coding: latin-1\ns = 'é'\n"
    """
    bom = data.startswith(_BOM)
    encoding = "utf-8"
    if is_python:
        try:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        except SyntaxError as error:
            raise UnreadableError(f"{error.msg}, by the rules of PEP 263") from error
        encoding = encoding.removesuffix("-sig")
    try:
        return Source(data.removeprefix(_BOM).decode(encoding), encoding, bom)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableError(f"not {encoding}", line) from error
    except (LookupError, ValueError) as error:  # `rot13`: a codec, and not one of text
        raise UnreadableError(f"{encoding} is not an encoding of text") from error


def write_over(path: str, old: bytes, new: bytes) -> bool:
    """Puts new bytes in the place of old ones, at one stroke.

    Args:
        path: The file; what a link points to is written, and the link stays.
        old: What the file held when it was read.
        new: What it shall hold.

    Returns:
        False where the file no longer holds `old`: it is left as it is.

    Raises:
        OSError: It cannot be written; it is as it was.
    """
    target = Path(path).resolve()
    if target.read_bytes() != old:
        return False
    replace_file(target, new)
    return True


def find_files(
    paths: Sequence[str | Path],
    *,
    exclude: Sequence[str] = (),
    root: str | Path | None = None,
    respect_gitignore: bool = True,
) -> tuple[list[str], list[str]]:
    """The files to audit.

    A file that is named is taken whatever its suffix; of a folder, those that end in `.py` or
    `.ipynb`. Below a named folder are left out: what git ignores, where the folder lies in a git
    work tree; folders such as `.venv`, `build` and `site-packages`; virtual environments of any
    name; links to folders. A file that is reached twice is taken once.

    Args:
        paths: Files and folders.
        exclude: Patterns in the manner of a `.gitignore`, for named files too.
        root: The folder that the patterns are relative to; the current one when None.
        respect_gitignore: False to take what git ignores.

    Returns:
        The files, each as a path from the argument that led to it, in order; and the problems, a
        line each.

    Example:
        >>> find_files(["no/such/place"])
        ([], ['no/such/place: no such file or folder'])
    """
    excluded = Patterns(Path.cwd() if root is None else Path(root), exclude)
    files: dict[str, str] = {}  # by what it really is, so that none comes twice
    problems: list[str] = []
    for path in map(str, paths):
        try:
            mode = os.stat(path).st_mode  # noqa: PTH116
        except OSError as error:
            problems.append(f"{path}: {why(error)}")
            continue
        if stat.S_ISDIR(mode):
            below = _Walk(excluded, problems, respect_gitignore).files(path)
        elif stat.S_ISREG(mode):
            below = iter(() if excluded(path) else (path,))
        else:
            problems.append(f"{path}: neither a file nor a folder")
            continue
        before, said = len(files), len(problems)
        named = os.path.normpath(path)
        for file in below:
            files.setdefault(os.path.realpath(file), file)
        is_new = len(files) > before or len(problems) > said
        if stat.S_ISDIR(mode) and not is_new and not _holds_any(files, named):
            problems.append(f"{path}: no Python file or notebook to audit")
    return list(files.values()), problems


def why(error: OSError) -> str:
    """Why a path cannot be read, in a few words."""
    if isinstance(error, FileNotFoundError):
        return "no such file or folder"
    return (error.strerror or str(error)).lower()


def _holds_any(files: dict[str, str], folder: str) -> bool:
    """Whether a folder has a file that another argument has led to already."""
    inside = os.path.join(os.path.realpath(folder), "")  # noqa: PTH118
    return any(file.startswith(inside) for file in files)


def is_pattern(line: str) -> bool:
    """Whether a line names anything, in the manner of a `.gitignore`.

    Example:
        >>> [is_pattern(line) for line in ("tests/*_gen.py", "!", "# a comment")]
        [True, False, False]
    """
    return bool(_read_patterns([line]))


class Patterns:
    """Whether patterns in the manner of a `.gitignore` name a path, or a folder that it is in.

    Args:
        root: The folder that they are relative to.
        patterns: One or more of them, as lines.
    """

    def __init__(self, root: Path, patterns: Sequence[str]) -> None:
        self._root = os.path.realpath(root)
        self._patterns = _read_patterns(patterns)

    def __call__(self, path: str, is_folder: bool = False) -> bool:
        """Whether they name the file, or the folder, of a path."""
        if not self._patterns:
            return False
        # Not the real path of the file: a link goes by its own name.
        folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100
        relative = os.path.relpath(os.path.join(os.path.realpath(folder), name), self._root)  # noqa: PTH118
        steps = Path(relative).parts
        return ".." not in steps and any(
            _says(self._patterns, "/".join(steps[:depth]), is_folder or depth < len(steps))
            for depth in range(1, len(steps) + 1)
        )


class _Walk:
    """The files below a folder."""

    def __init__(self, excluded: Patterns, problems: list[str], respect_gitignore: bool) -> None:
        self._excluded = excluded
        self._problems = problems
        self._respect_gitignore = respect_gitignore

    def files(self, start: str) -> Iterator[str]:
        """Those to audit, a folder's own before those of its folders."""
        ignored = _Ignored.above(Path(start)) if self._respect_gitignore else None
        yield from self._below(start, os.path.realpath(start), ignored)

    def _below(self, folder: str, real: str, ignored: _Ignored | None) -> Iterator[str]:
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._problems.append(f"{folder}: {why(error)}")
            return
        if ignored is not None:
            ignored = ignored.with_file_of(real)
        folders = []
        for entry in listed:
            path = os.path.normpath(entry.path)
            inside = os.path.join(real, entry.name)  # noqa: PTH118
            try:
                # A link to a folder is none: it could lead round for ever, or out of the project.
                if entry.is_dir(follow_symlinks=False):
                    if self._is_source(entry, path, inside, ignored):
                        folders.append((path, inside))
                    continue
                if not entry.name.endswith(SUFFIXES) or self._is_out(path, inside, ignored):
                    continue
                if stat.S_ISREG(entry.stat().st_mode):
                    yield path
            except OSError as error:  # a link to nothing, or to itself
                self._problems.append(f"{path}: {why(error)}")
        for path, inside in folders:
            yield from self._below(path, inside, ignored)

    def _is_source(
        self, entry: os.DirEntry[str], path: str, inside: str, ignored: _Ignored | None
    ) -> bool:
        if entry.name in NOT_SOURCE or os.path.exists(os.path.join(path, "pyvenv.cfg")):  # noqa: PTH110, PTH118
            return False
        return not self._is_out(path, inside, ignored, is_folder=True)

    def _is_out(
        self, path: str, inside: str, ignored: _Ignored | None, is_folder: bool = False
    ) -> bool:
        if ignored is not None and ignored(inside, is_folder):
            return True
        return self._excluded(path, is_folder)


class _Ignored:
    """What the `.gitignore` files of a work tree say; the nearest to a path has the last word."""

    def __init__(self, patterns: tuple[tuple[str, list[_Pattern]], ...]) -> None:
        self._patterns = patterns  # nearest first

    @classmethod
    def above(cls, start: Path) -> _Ignored | None:
        """Of the folders above one, up to the work tree's; None where there is no work tree.

        Nothing is said of a folder that is itself ignored: who names it wants it.
        """
        start = start.resolve()
        tops = [folder for folder in (start, *start.parents) if (folder / ".git").exists()]
        if not tops:
            return None
        found = cls(()).with_file(tops[0] / ".git" / "info" / "exclude", str(tops[0]))
        steps = start.relative_to(tops[0]).parts
        for depth, name in enumerate(steps):
            folder = tops[0].joinpath(*steps[:depth])
            found = found.with_file_of(str(folder))
            if found(str(folder / name), is_folder=True):
                return cls(())
        return found

    def with_file_of(self, folder: str) -> _Ignored:
        """With what a folder's own `.gitignore` says, where it has one."""
        return self.with_file(Path(folder, ".gitignore"), folder)

    def with_file(self, path: Path, folder: str) -> _Ignored:
        """With what a file says of the paths in a folder."""
        try:
            patterns = _read_patterns(path.read_bytes().decode(errors="replace").split("\n"))
        except OSError:  # there is none
            return self
        return _Ignored(((folder, patterns), *self._patterns))

    def __call__(self, path: str, is_folder: bool = False) -> bool:
        for folder, patterns in self._patterns:
            relative = path[len(folder) :].lstrip(os.sep).replace(os.sep, "/")
            said = _says(patterns, relative, is_folder)
            if said is not None:
                return said
        return False


@dataclass(frozen=True)
class _Pattern:
    """A line of a `.gitignore`."""

    regex: re.Pattern[str]
    takes_back: bool
    is_of_folders: bool


def _says(patterns: Sequence[_Pattern], relative: str, is_folder: bool) -> bool | None:
    """True for ignored, False for taken back by a `!`, None for not mentioned.

    Asked of a path alone: what is in a folder that is ignored no one comes to ask about.
    """
    for pattern in reversed(patterns):
        if (is_folder or not pattern.is_of_folders) and pattern.regex.fullmatch(relative):
            return not pattern.takes_back
    return None


def _read_patterns(lines: Iterable[str]) -> list[_Pattern]:
    """The patterns of lines; https://git-scm.com/docs/gitignore#_pattern_format."""
    found = []
    for line in lines:
        text = re.sub(r"(?<!\\) +$", "", line.rstrip("\r"))
        if not text or text.startswith("#"):
            continue
        takes_back = text.startswith("!")
        text = text.removeprefix("!")
        is_of_folders = text.endswith("/")
        text = text.removesuffix("/")
        if not text:
            continue
        anywhere = "" if "/" in text else "(?:.*/)?"
        with contextlib.suppress(re.error):  # no pattern, as `[z-a]`: git goes on too
            regex = re.compile(anywhere + _regex(text.removeprefix("/")), re.DOTALL)
            found.append(_Pattern(regex, takes_back, is_of_folders))
    return found


_GLOB = re.compile(
    r"(?P<folders>(?:(?<=/)|^)\*\*/)|(?P<all>(?<=/)\*\*$)|(?P<some>\*+)|(?P<one>\?)"
    r"|\[(?P<no>[!^]?)(?P<set>\]?(?:\\.|[^\]\\])*)\]|\\(?P<plain>.)|(?P<open>\[)|.",
    re.DOTALL,
)


def _regex(glob: str) -> str:
    def translated(match: re.Match[str]) -> str:
        for name, regex in (
            ("folders", "(?:.*/)?"),
            ("all", ".+"),
            ("some", "[^/]*"),
            ("one", "[^/]"),
        ):
            if match[name]:
                return regex
        if match["set"]:
            inside = re.sub(r"([\[&~|]|^\]|^\^)", r"\\\1", match["set"])
            return f"(?!/)[{'^' if match['no'] else ''}{inside}]"
        if match["open"]:  # and never closed: it matches nothing
            return "(?!)"
        return re.escape(match["plain"] or match.group())

    return _GLOB.sub(translated, glob)
