"""The other files of a project, read as far as a rule asks for them; nothing of them is run."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import takewhile
from pathlib import Path

from .code import Call, Class, Code, Found, Function, Place
from .dependencies import MOST_BYTES, Asked, Sources
from .files import NOT_SOURCE, UnreadableError, read_source
from .reporting.reading import read_bytes

_MARKS = (".git", ".hg", "pyproject.toml", "setup.py", "setup.cfg")
_MOST_KEPT = 3_000_000  # characters of sources whose trees are kept for the next file
_MOST_READ = 3_000_000  # characters of sources that are read for one file
_INSTALLED = frozenset(("site-packages", "dist-packages"))
_MOST_SEARCHES = 200  # searches of all other files for the sake of one
_MOST_ASKED = 20  # files that mention a name
_MOST_NAMES = 50_000  # names that are looked up
_DEEPEST = 20  # names that are imports of others
_MOST_PARTS = 20  # parts of a dotted name
_LOOKING = frozenset(("isinstance", "issubclass"))
_WORTH_AN_INDEX = 200  # searches that take about as long as an index of all words
_WORDS = re.compile(rb"\w+")


class Project:
    """The files around a source.

    A file belongs to the folder above it that has a mark of a project, such as `.git` or
    `pyproject.toml`; without one, to the current folder if that is above it, or else to its
    outermost package. Files outside of that folder are not read. Files that were
    read are kept, so that a project is for one run.

    Args:
        root: The folder.

    Attributes:
        questions: How often the rules have asked for another file since `begin`.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        # `import package.part` within a package that has no project around it; no other is read
        self._top = root.parent if (root / "__init__.py").exists() else root
        self._depth = 0
        self._sources = Sources(root)
        self._counted = 0  # searches for all files
        self._codes: dict[Path, Code | None] = {}
        self._forget()
        self.begin()

    def begin(self) -> None:
        """Counts the questions of the next file."""
        self.questions = 0
        self._searches = 0
        self._read_now: set[Path] = set()
        self._left = _MOST_READ
        if self._size > _MOST_KEPT:
            self._forget()

    def _forget(self) -> None:
        for code in self._codes.values():
            if code is not None:
                code.close()
        self._codes = {}
        self._size = 0  # of all of them, in characters
        self._found: dict[tuple[Path, str], Found | None] = {}
        # What each of them has asked for, whichever file that was for; None stands for a search.
        self._asked: dict[Path, set[Path | None]] = {}

    def opened(self, text: str, path: str) -> Code:
        """Returns a file that is audited, as it is read; it may be kept for other files.

        Args:
            text: What is in the file.
            path: Its path.

        Raises:
            SyntaxError: As `Code` does, and the other errors.
        """
        known = self._codes.get(_real(Path(path)))
        if known is None or known.text != text or known.place != Place.of(path):
            return Code(text, path, self)
        known.path = path
        return known

    def closed(self, code: Code) -> None:
        """Frees a file that was audited, unless it is kept for others."""
        if self._codes.get(_real(Path(code.path))) is not code:
            code.close()

    def asked(self, path: str) -> Asked | None:
        """Returns what the findings of a file depend on; None if not all of that is known."""
        home = _real(Path(path))
        found: set[Path | None] = {home}
        waiting: list[Path | None] = [home]
        while waiting:
            last = waiting.pop()
            new = self._asked.get(last, set()) - found if last is not None else set()
            found |= new
            waiting += new
        files = {each for each in found if each is not None and each != home}
        return self._sources.asked(files, None in found)

    def still(self, asked: Asked) -> bool:
        """Whether all that was asked is the same."""
        return self._sources.still(asked)

    def _depends(self, home: Path, *others: Path | None) -> None:
        self._asked.setdefault(home, set()).update(others)

    def find(self, code: Code, name: str) -> Found | None:
        """Returns what a qualified name of a source stands for in another file of the project."""
        self.questions += 1
        return self._find(_absolute(code.path), name)

    def calls(self, code: Code, target: Class | Function) -> Sequence[tuple[Code, Call]] | None:
        """Returns the calls of a class or function in the other files, each with its file.

        Args:
            code: The source that defines it.
            target: The class or function, defined at the level of the module.

        Returns:
            The calls; None if it may be called in ways that are not written down: a class derives
            from it, or something stores it.
        """
        self.questions += 1
        home = _real(Path(code.path))
        found: list[tuple[Code, Call]] = []
        for path in self._mentioning(home, target.name):
            other = self._read(path)
            if other is None or other.place.is_test or _real(path) == home:
                continue
            by_func = {call.node.func: call for call in other.calls}
            for node in other.references(target.name):
                names = other.meant(node, other.name(node))
                meant = [self._find(_absolute(other.path), each) for each in names]
                places = [(e.target.name, _real(Path(e.code.path))) for e in meant if e is not None]
                if (target.name, home) not in places:
                    continue
                if node in by_func:
                    found.append((other, by_func[node]))
                elif not _is_looked_at(other, node):
                    return None
        return found

    def _find(self, path: Path, name: str) -> Found | None:
        is_open = len(self._found) < _MOST_NAMES and self._depth < _DEEPEST
        if (path, name) not in self._found and is_open:
            self._found[path, name] = None  # for modules that import one another
            self._depth += 1
            place = self._resolve(path, name)
            if place is not None:
                self._depends(_real(path), _real(place[0]))
                self._found[path, name] = self._in(*place)
            self._depth -= 1
        return self._found.get((path, name))

    def _in(self, file: Path, parts: Sequence[str]) -> Found | None:
        """Returns what a name stands for in a file, with what follows it."""
        other = self._read(file) if parts else None
        if other is None:
            return None
        first, *rest = parts
        target = other.defined(first)
        if isinstance(target, Class) and len(rest) == 1:
            target, rest = target.method(rest[0]), []
        if target is not None:
            return None if rest else Found(other, target)
        for each in other.passed_on(first):  # a name that it imports itself
            name = ".".join((each, *rest))
            # Packages that import all names of one another would make it longer at each step.
            place = self._resolve(file, name)
            if place is not None and len(place[1]) > len(parts):
                continue
            found = self._find(file, name)
            if found is not None:
                return found
        return None

    def _resolve(self, path: Path, name: str) -> tuple[Path, list[str]] | None:
        """Returns the file that a name is in, and what follows the file in the name."""
        level = len(name) - len(name.lstrip("."))
        parts = [each for each in name[level:].split(".") if each]
        folder = path.parent
        if level:
            for _ in range(level - 1):
                folder = folder.parent
            if not self._is_inside(folder):
                return None
            return _module(folder, parts) or (folder / "__init__.py", parts)
        while self._is_inside(folder):
            found = _module(folder, parts)
            if found is not None:
                return found
            folder = folder.parent
        return None

    def _is_inside(self, folder: Path) -> bool:
        return folder == self._top or self._top in folder.parents

    def _read(self, path: Path) -> Code | None:
        path = _real(path)
        if path not in self._read_now and self._left <= 0:
            return None
        if path not in self._codes:
            self._codes[path] = None  # also if its parser fails
            if self._root in path.parents:
                self._codes[path] = code = self._parsed(path)
                self._size += 0 if code is None else len(code.text)
        code = self._codes[path]
        if path not in self._read_now:
            self._read_now.add(path)
            self._left -= 0 if code is None else len(code.text)
        return code

    def _parsed(self, path: Path) -> Code | None:
        try:
            return Code(read_source(read_bytes(path, MOST_BYTES)).text, str(path), self)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OSError, UnreadableError):
            return None

    def _mentioning(self, home: Path, name: str) -> list[Path]:
        """Returns the files that mention a name, on behalf of one; none if too many do."""
        self._depends(home, None)
        self._searches += 1
        if self._searches > _MOST_SEARCHES:
            return []
        word = name.encode(errors="replace")
        said = re.compile(rb"\b%b\b" % re.escape(word))
        texts = self._sources.texts
        places = self._with_word(word)
        found = [path for path in places if word in texts[path] and said.search(texts[path])]
        return found if len(found) <= _MOST_ASKED else []

    def _with_word(self, word: bytes) -> Iterable[Path]:
        """Returns the files that may have a word, in order."""
        self._counted += 1
        first = _WORDS.search(word)
        if self._counted <= _WORTH_AN_INDEX or first is None:
            return self._sources.texts
        return self._by_word.get(first.group(), ())

    @cached_property
    def _by_word(self) -> Mapping[bytes, Sequence[Path]]:
        """The files that have each word."""
        found: dict[bytes, list[Path]] = {}
        for path, text in self._sources.texts.items():
            for word in set(_WORDS.findall(text)):
                found.setdefault(word, []).append(path)
        return found


def _module(folder: Path, parts: Sequence[str]) -> tuple[Path, list[str]] | None:
    """Returns the file that the longest beginning of a name stands for, and the rest."""
    for count in range(min(len(parts), _MOST_PARTS), 0, -1):
        base = folder.joinpath(*parts[:count])
        for file, within in ((f"{base}.py", count - 1), (base / "__init__.py", count)):
            is_source = NOT_SOURCE.isdisjoint(parts[:within])
            if is_source and os.path.isfile(file):  # noqa: PTH113 - it may be too long for a path
                return Path(file), list(parts[count:])
    return None


def _is_looked_at(code: Code, node: ast.AST) -> bool:
    """Whether a class is only named at a node: as a type, or in `isinstance`."""
    for parent in code.parents(node):
        if isinstance(parent, ast.arg):
            return True
        if isinstance(parent, ast.Attribute):  # Encoder.KEY; a method may build one
            holder = next(code.parents(parent))
            return not (isinstance(holder, ast.Call) and holder.func is parent)
        if isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return node is parent.returns
        if isinstance(parent, ast.AnnAssign):
            return node is parent.annotation
        if isinstance(parent, ast.Call):
            return node is not parent.func and getattr(parent.func, "id", "") in _LOOKING
        if not isinstance(parent, (ast.Subscript, ast.Tuple, ast.BinOp)):  # Optional[Encoder]
            break
        node = parent
    return False


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - without `..`


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def project_of(path: str, run: int) -> Project:
    """Returns the project that a file belongs to.

    Args:
        path: The file.
        run: A number of the run, in which files are taken to stay as they are.
    """
    project = _project(_root(_absolute(path).parent, run), run)
    project.begin()
    return project


@lru_cache(maxsize=4)
def _project(root: Path, run: int) -> Project:
    return Project(root)


@lru_cache(maxsize=1024)
def _root(folder: Path, run: int) -> Path:
    """Returns the folder of the project that files in a folder belong to."""
    parents = (folder, *folder.parents)
    # What is installed does not belong to the project around it, such as that of a `.venv`.
    above = [*takewhile(lambda each: each.name not in _INSTALLED, parents)]
    for each in above:
        marks = [mark for mark in _MARKS if (each / mark).exists()]
        if marks and (marks != ["setup.py"] or not (each / "__init__.py").exists()):
            return each  # a setup.py within a package is one of its modules
    here = Path.cwd()
    if here in above:
        return here
    while folder.parent in above and (folder.parent / "__init__.py").exists():
        folder = folder.parent
    return folder
