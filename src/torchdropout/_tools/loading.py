"""Loads what a TARGET string names: `package.module:Attribute` or `path/file.py:Attribute`."""

from __future__ import annotations

import ast
import contextlib
import difflib
import importlib
import importlib.util
import itertools
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from .._core import _torch
from ..errors import TargetError

_FILES = itertools.count()


@dataclass(frozen=True)
class _Before:
    """The state of the process before a home was entered.

    Attributes:
        path: `sys.path`.
        names: The names of all modules.
        hidden: The modules under names that the home has, too.
        size: The number of modules, including those of the home.
        dont_write_bytecode: The value in `sys`.
    """

    path: list[str]
    names: frozenset[str]
    hidden: dict[str, ModuleType]
    size: int
    dont_write_bytecode: bool


@dataclass
class Home:
    """The folder a target was loaded from, importable only while the target's own code runs.

    Its modules are kept here and not in `sys.modules`, so that two files that each import their
    own `helper` do not get each other's. Entering restores them and the folder: an import inside a
    `forward`, or `torch.compile`, which looks modules up by name, then finds them.
    """

    folder: str | None = None
    modules: dict[str, ModuleType] = field(default_factory=dict)
    _undo: list[_Before] = field(default_factory=list)
    # Copying the names of all modules, thousands, at each call would take longer than most calls.
    _known: frozenset[str] = frozenset()
    _known_at: tuple[int, str] | None = None  # how many there were, and the last

    def __enter__(self) -> None:
        # A compiler that traced this would restore `sys.modules` as it was at the trace, without
        # the modules that the compiler itself imports afterwards.
        if self.folder is not None:
            _torch.in_python(self._enter)(self.folder)

    def __exit__(self, *exception: object) -> None:
        if self.folder is not None:
            _torch.in_python(self._exit)(self.folder)

    def _enter(self, folder: str) -> None:
        state = (len(sys.modules), next(reversed(sys.modules)))
        if self._known_at != state:
            self._known, self._known_at = frozenset(sys.modules), state
        hidden = {name: sys.modules[name] for name in self.modules if name in sys.modules}
        flag, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # no `__pycache__`
        path = sys.path.copy()
        sys.path.insert(0, folder)
        sys.modules.update(self.modules)
        self._undo.append(_Before(path, self._known, hidden, len(sys.modules), flag))

    def _exit(self, folder: str) -> None:
        before = self._undo.pop()
        sys.dont_write_bytecode = before.dont_write_bytecode
        try:
            if len(sys.modules) > before.size:
                self._claim(before.names, owned=folder not in before.path)
        finally:
            for name in self.modules:
                if name in before.hidden:
                    sys.modules[name] = before.hidden[name]
                else:
                    sys.modules.pop(name, None)
            sys.path[:] = before.path

    def _claim(self, known: frozenset[str], *, owned: bool) -> None:
        """Moves modules that the target's code put into `sys.modules` into this home.

        A module that lies in the folder is the target's own. Any other that it imported (such as
        NumPy) stays in `sys.modules`, since extension modules cannot be loaded twice.
        """
        new = [name for name in sys.modules if name not in known]
        mine = [name for name in new if owned and self._is_mine(name)]
        self.modules.update({name: sys.modules[name] for name in mine})

    def _is_mine(self, name: str) -> bool:
        """Whether the module, or the package it is in, lies directly in the folder."""
        top = sys.modules.get(name.partition(".")[0])
        if not isinstance(top, ModuleType) or self.folder is None:
            return False
        known = vars(top)  # a module's own `__getattr__` may have side effects
        places = [*known.get("__path__", ())] or [known.get("__file__") or "."]
        return any(Path(place).parent == Path(self.folder) for place in places)


def load(target: str) -> tuple[object, Home]:
    """Loads the object that a TARGET string names.

    Args:
        target: `package.module:Attribute` or `path/file.py:Attribute`; the attribute may have dots.

    Returns:
        The object, and its home: enter it wherever the object's code runs.

    Raises:
        TargetError: It has another form, or cannot be found or imported; the message names it.

    Example:
        >>> load("torch.nn:Dropout")[0]
        <class 'torch.nn.modules.dropout.Dropout'>
    """
    where, colon, attribute = target.rpartition(":")
    if not (colon and where and attribute.strip()):
        raise TargetError(
            "Expected TARGET as `package.module:Attribute` or `path/file.py:Attribute`, "
            f"got {target!r} (str){'' if colon else _near(target)}"
        )
    is_file = where.endswith(".py") or os.sep in where or "/" in where
    folder = str(Path(where).resolve().parent) if is_file else str(Path.cwd())
    home = Home(folder)
    with home:
        module = _load_file(target, where, home) if is_file else _load_module(target, where)
        thing = _attribute(target, module, attribute)
    return thing, home if home.modules else Home()


def _near(target: str) -> str:
    """What may be meant without an attribute: a dot for a colon, or a name in a file."""
    head, _, tail = target.rpartition(".")
    if tail == "py" and Path(target).is_file():
        # The parser warns of escapes; a file may be too deep for it.
        with contextlib.suppress(OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            return f"; perhaps {' or '.join(f'{target}:{name}' for name in _dropouts(target)[:4])}"
    return f"; perhaps {head}:{tail}" if head and tail.isidentifier() and tail != "py" else ""


def _dropouts(file: str) -> list[str]:
    """The public classes and functions of a file, those first that speak of dropout."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(Path(file).read_bytes())
    found = [node for node in tree.body if isinstance(node, kinds) and node.name[0] != "_"]
    found.sort(key=lambda node: "drop" not in ast.unparse(node).lower())
    return [node.name for node in found] or ["Attribute"]


def _load_file(target: str, where: str, home: Home) -> ModuleType:
    """Executes a file as a module of its own."""
    path = Path(where).resolve()
    if not path.is_file():
        got = "a folder" if path.is_dir() else "no such file"
        raise target_error(target, f"to name a Python file, {where}", got)
    # The name differs from that of every module that exists, whatever the file is called, and of
    # every one that existed: the compiler caches its data about a file under its module's name.
    name = f"_torchdropout_target_{path.stem}_{next(_FILES)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise target_error(target, "to name a Python file, `path/file.py`", f"{where!r} (str)")
    module = importlib.util.module_from_spec(spec)
    home.modules[name] = sys.modules[name] = module
    with _importing(target, where):
        spec.loader.exec_module(module)
    return module


def _load_module(target: str, where: str) -> ModuleType:
    """Imports a module by name."""
    with _importing(target, where):
        return importlib.import_module(where)


@contextlib.contextmanager
def _importing(target: str, where: str) -> Iterator[None]:
    """Turns whatever an import raises into an error that names the target."""
    try:
        yield
    except SyntaxError as error:
        place = f"{Path(error.filename).name if error.filename else where}, line {error.lineno}"
        raise target_error(
            target, f"to load {where}", f"a syntax error in {place}: {error.msg}"
        ) from error
    except ModuleNotFoundError as error:
        if error.name and (where == error.name or where.startswith(f"{error.name}.")):
            raise target_error(
                target,
                f"to name an importable module, {where}",
                f"no module named {error.name!r}",
                "a file is given as path/file.py:Attribute",
            ) from error
        raise target_error(target, f"to load {where}", one_line(error) + _line_of(error)) from error
    except (Exception, SystemExit) as error:
        hint = ""
        if isinstance(error, ImportError) and "relative import" in str(error):
            hint = "a file in a package is given as package.module:Attribute"
        raise target_error(
            target, f"to load {where}", one_line(error) + _line_of(error), hint
        ) from error


def _line_of(error: BaseException) -> str:
    """Where an import failed, outside the import machinery and this file."""
    place, trace = "", error.__traceback__
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if "importlib" not in filename and filename != __file__:
            place = f" ({Path(filename).name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return place


def _attribute(target: str, module: ModuleType, dotted: str) -> object:
    """The attribute of a module under a dotted name."""
    thing: object = module
    for part in dotted.split("."):
        try:
            thing = getattr(thing, part)
        except SystemExit as error:
            raise target_error(target, f"to have an attribute {part!r}", one_line(error)) from error
        except AttributeError as error:
            names = [name for name in dir(thing) if not name.startswith("_")]
            near = difflib.get_close_matches(part, names, n=3)
            raise target_error(
                target,
                f"to name an attribute {part!r} of {target.rpartition(':')[0]}",
                "no such attribute",
                f"close to it: {', '.join(near)}" if near else "",
            ) from error
    return thing


def target_error(target: str, expected: str, got: str, hint: str = "") -> TargetError:
    """The error of a TARGET; all have this form."""
    return TargetError(f"Expected TARGET {target!r} {expected}, got {got}{hint and '; ' + hint}")


def one_line(error: BaseException) -> str:
    """An exception on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
