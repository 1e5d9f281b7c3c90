"""Finds, reads and writes the files to audit."""

from __future__ import annotations

import codecs
import errno
import io
import os
import stat
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .patterns import Ignored, Patterns
from .reporting.atomic import replace_file
from .reporting.findings import Rule

_BOM = b"\xef\xbb\xbf"
_OTHER_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)

SUFFIXES = (".py", ".ipynb")

MOST_BYTES = 500_000_000
"""Bytes of the longest file that is read: a notebook may hold many pictures."""

# Folders that do not hold the project's own source. They are skipped below a named folder only.
NOT_SOURCE = frozenset(
    (".bzr", ".direnv", ".eggs", ".git", ".hg", ".ipynb_checkpoints", ".mypy_cache", ".nox")
    + (".pants.d", ".pyenv", ".pytest_cache", ".pytype", ".ruff_cache", ".svn", ".tox", ".venv")
    + (".vscode", "__pycache__", "__pypackages__", "_build", "buck-out", "build", "dist")
    + ("node_modules", "site-packages", "venv")
)


class UnreadableError(Exception):
    """A file cannot be read as a source; the message says why, in a few words.

    Attributes:
        line: Where the problem is.
    """

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.line = line


UNREADABLE = Rule(
    "TD002",
    "unreadable",
    "files",
    "error",
    "The file can be read as text or as a notebook.",
    "A source is decoded as Python does it: by its byte order mark or its coding comment, else as "
    "UTF-8. A notebook is JSON of nbformat 4. A file that mentions dropout and can be "
    "read in neither way is reported and not audited.",
)


@dataclass(frozen=True)
class Source:
    """The text of a file, and what is needed to write it back.

    Attributes:
        text: The text, with the line ends of the file.
        encoding: The name of the codec.
        bom: Whether the file begins with a byte order mark, which is not in the text.
        is_python: False for a notebook.
    """

    text: str
    encoding: str = "utf-8"
    bom: bool = False
    is_python: bool = True

    def encoded(self, text: str) -> bytes:
        """Encodes a text as the file is encoded.

        Raises:
            UnicodeEncodeError: The encoding lacks a character.
        """
        return (_BOM if self.bom else b"") + text.encode(self.encoding)

    def rewritten(self, data: bytes, text: str) -> bytes:
        r"""Encodes a text in place of that of a file, so that nothing else changes.

        In an encoding such as `unicode_escape`, the same text can be written as several bytes: to
        encode it again would change what is not fixed, and could change what the program does.

        Args:
            data: The bytes of the file, from which this was read.
            text: The new text.

        Raises:
            ValueError: Encoding the text of the file does not give its bytes, reading the new bytes
                does not give the new text, or the encoding lacks a character.

        Example:
            >>> read_source(b"x = 1\n").rewritten(b"x = 1\n", "x = 2\n")
            b'x = 2\n'
        """
        new = self.encoded(text)
        if self.encoded(self.text) != data:
            raise ValueError(f"its bytes change when its text is encoded again, in {self.encoding}")
        try:
            again = read_source(new, is_python=self.is_python)
        except UnreadableError as error:
            raise ValueError(f"it could not be read after that: {error}") from error
        if again.text != text:
            raise ValueError(f"it would be read as another text after that, in {again.encoding}")
        return new


def read_source(data: bytes, *, is_python: bool = True) -> Source:
    r"""Decodes a Python source as Python does: by its byte order mark or its coding comment.

    Args:
        data: The bytes of the file.
        is_python: False for a notebook, which is always UTF-8.

    Returns:
        The text and its encoding.

    Raises:
        UnreadableError: The bytes are not valid in the encoding, or the encoding does not exist.

    Example:
        >>> read_source(b"# coding: latin-1\ns = '\xe9'\n").text
        "# coding: latin-1\ns = 'é'\n"
    """
    if data.startswith(_OTHER_BOMS):
        raise UnreadableError("UTF-16 or UTF-32, which Python does not read as a source")
    bom = data.startswith(_BOM)
    encoding = "utf-8"
    if is_python:
        try:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        except SyntaxError as error:
            raise UnreadableError(f"{error.msg}, by the rules of PEP 263") from error
        encoding = encoding.removesuffix("-sig")
    try:
        return Source(data.removeprefix(_BOM).decode(encoding), encoding, bom, is_python)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableError(f"not {encoding}", line) from error
    except (LookupError, ValueError) as error:  # `rot13` is a codec, but not of text
        raise UnreadableError(f"{encoding} is not an encoding of text") from error


def write_over(path: str, old: bytes, new: bytes) -> bool:
    """Replaces the bytes of a file atomically.

    Args:
        path: The file; for a link, what it points to is written.
        old: What the file held when it was read.
        new: What to write.

    Returns:
        False if the file no longer holds `old`; it is left as it is.

    Raises:
        OSError: The file cannot be written, is read-only, or has several names (hard links); it is
            unchanged.
    """
    target = Path(path).resolve()
    about = target.stat()
    if about.st_nlink > 1:  # after a replacement its other names would still hold the old file
        raise OSError(errno.EMLINK, f"it is one file with {about.st_nlink} names (hard links)")
    if not about.st_mode & stat.S_IWUSR:  # a replacement needs the permission of the folder alone
        raise OSError(errno.EACCES, "it is read-only")
    return replace_file(target, new, old=old)


def find_files(
    paths: Sequence[str | Path],
    *,
    exclude: Sequence[str] = (),
    root: str | Path | None = None,
    respect_gitignore: bool = True,
) -> tuple[list[str], list[str]]:
    """Finds the files to audit.

    A named file is taken whatever its suffix; below a named folder, files that end in `.py` or
    `.ipynb`. What git ignores there is skipped if the folder is in a git work tree, and so are
    folders such as `.venv`, `build` and `site-packages`, virtual environments of any name, and
    links to folders. A file that is reached twice is taken once.

    Args:
        paths: Files and folders.
        exclude: Patterns as in a `.gitignore`; they apply to named files, too.
        root: The folder that the patterns are relative to; with None, the current one.
        respect_gitignore: False to include what git ignores.

    Returns:
        The files, in order, each as a path that begins with its argument; and the problems, one
        line each.

    Example:
        >>> find_files(["no/such/place"])
        ([], ['no/such/place: no such file or folder'])
    """
    excluded = Patterns(Path.cwd() if root is None else Path(root), exclude)
    files: dict[str, str] = {}  # by real path, so that each is taken once
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


def leads_out(path: str, named: Sequence[str | Path]) -> bool:
    """Whether a path is a link to a file outside the named files and folders.

    Args:
        path: A file that `find_files` found.
        named: The paths that `find_files` was given. A link that is named itself does not lead out.
    """
    if not os.path.islink(path) or path in map(str, named):  # noqa: PTH114
        return False
    real = os.path.realpath(path)
    return not any(real.startswith(os.path.join(os.path.realpath(each), "")) for each in named)  # noqa: PTH118


def why(error: OSError) -> str:
    """Returns why a path cannot be read, in a few words."""
    if isinstance(error, FileNotFoundError):
        return "no such file or folder"
    return (error.strerror or str(error)).lower()


def _holds_any(files: dict[str, str], folder: str) -> bool:
    """Whether a folder holds a file that was already found."""
    inside = os.path.join(os.path.realpath(folder), "")  # noqa: PTH118
    return any(file.startswith(inside) for file in files)


class _Walk:
    """The files below a folder."""

    def __init__(self, excluded: Patterns, problems: list[str], respect_gitignore: bool) -> None:
        self._excluded = excluded
        self._problems = problems
        self._respect_gitignore = respect_gitignore

    def files(self, start: str) -> Iterator[str]:
        """Yields the files to audit: those in a folder before those in its subfolders."""
        ignored = Ignored.above(Path(start)) if self._respect_gitignore else None
        # No recursion: folders may be nested a thousand deep.
        waiting = [(start, os.path.realpath(start), ignored)]
        while waiting:
            folder, real, ignored = waiting.pop()
            folders: list[tuple[str, str, Ignored | None]] = []
            yield from self._in(folder, real, ignored, folders)
            waiting += reversed(folders)

    def _in(
        self,
        folder: str,
        real: str,
        ignored: Ignored | None,
        folders: list[tuple[str, str, Ignored | None]],
    ) -> Iterator[str]:
        """Yields the files in a folder, and adds the folders in it."""
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._problems.append(f"{folder}: {why(error)}")
            return
        if ignored is not None:
            ignored = ignored.with_file_of(real)
        for entry in listed:
            path = os.path.normpath(entry.path)
            inside = os.path.join(real, entry.name)  # noqa: PTH118
            try:
                # A link to a folder is skipped: it could be a circle, or leave the project.
                is_folder = entry.is_dir(follow_symlinks=False)
                is_source = _holds_source(entry) if is_folder else entry.name.endswith(SUFFIXES)
                if not is_source or (ignored is not None and ignored(inside, is_folder)):
                    continue
                if self._excluded(path, is_folder):
                    continue
                if is_folder:
                    folders.append((path, inside, ignored))
                elif stat.S_ISREG(entry.stat().st_mode):
                    yield path
            except FileNotFoundError:
                continue  # a link to nothing, which is not a source
            except OSError as error:  # a link to itself
                self._problems.append(f"{path}: {why(error)}")


def _holds_source(folder: os.DirEntry[str]) -> bool:
    mark = Path(folder.path, "pyvenv.cfg")  # of a virtual environment
    return folder.name not in NOT_SOURCE and not mark.exists()
