"""A parsed source, and the places of its nodes in the tree and in the text."""

from __future__ import annotations

import ast
import re
import warnings
from bisect import bisect_left
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, overload

from ..lines import BOM, Lines
from .definitions import Class, Function
from .nodes import said_of
from .scopes import Scope, Scopes
from .words import words

_One = TypeVar("_One", bound=ast.AST)
_Two = TypeVar("_Two", bound=ast.AST)
_Three = TypeVar("_Three", bound=ast.AST)
_TRAINS = re.compile(r"backward|\.train\(|(?i:optim|loss|criterion|trainer|training_step)")
_DELIBERATE = frozenset(
    ("mc", "monte", "carlo", "montecarlo", "bayes", "bayesian", "uncertainty", "always")
    # Augmentations of data, whose caller is the training loop.
    + ("augment", "augmentation", "augmentations", "augmenter", "augmentor", "augmentors")
)


def parsed(text: str) -> ast.Module | None:
    """The tree of a text, without Python's warnings; None where it does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _says_deliberate(name: str) -> bool:
    return not _DELIBERATE.isdisjoint(words(name)) or "prenet" in name.lower()


_INFERENCE = frozenset(
    ("predict", "predictor", "predictors", "infer", "inference", "inferencer", "recognizer")
    + ("tensorrt", "trt", "trtllm", "onnx", "onnxruntime", "triton")
    + ("runtime", "export", "exporter", "exporters", "serving", "deploy", "deployment")
)
# Among other words they name a subject, as in `traffic-prediction`.
_INFERENCE_ALONE = frozenset((("prediction",), ("recognition",)))


def _says_inference(name: str) -> bool:
    said = words(name)
    return said in _INFERENCE_ALONE or not _INFERENCE.isdisjoint(said)


@dataclass(frozen=True)
class Place:
    """What findings depend on of a path, whatever the folder that it is relative to.

    Attributes:
        name: The name of the file.
        is_test: Whether the file is a test.
        is_deliberate: Whether the path says that dropout is always on.
        is_inference: Whether the path says that what is in the file only predicts.
    """

    name: str
    is_test: bool
    is_deliberate: bool
    is_inference: bool

    @classmethod
    def of(cls, path: str) -> Place:
        """Reads a path.

        Example:
            >>> Place.of("tests/model.py") == Place.of("project/tests/model.py")
            True
        """
        *folders, name = re.split(r"[/\\]", path)
        stem = name.partition(".")[0]
        is_test = (
            any(folder in ("test", "tests", "testing") for folder in folders)
            or stem.startswith("test_")
            or stem.endswith("_test")
            or stem == "conftest"
        )
        return cls(
            name,
            is_test,
            any(map(_says_deliberate, (*folders, name))),
            any(map(_says_inference, (*folders, stem))),
        )


class Tree:
    """A parsed source.

    Attributes:
        path: The file's path.
        text: The source.
        tree: Its syntax tree.
        classes: Every class statement.
        functions: Every `def`, including methods and nested functions.
        notes: What rules keep of it, so that they need not read it twice.
        limits: What there was too much of to read all of it, and how much was read.
    """

    def __init__(self, text: str, path: str = "<text>") -> None:
        self.path = path
        self.notes: dict[Hashable, Any] = {}
        self.limits: dict[str, int] = {}
        self.text = text
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the parser, about escapes
            self.tree = ast.parse(text.removeprefix(BOM))
        self._lines: dict[int, bytes] = {}  # in which Python counts columns
        self._scopes = Scopes(self.tree)
        self._blocks: dict[ast.AST, dict[ast.AST, tuple[str, ast.AST | None]]] = {}
        self._names_in: dict[ast.AST, Mapping[str, Sequence[ast.Name]]] = {}
        self._by_node: dict[ast.AST, Function | Class] = {}
        self._held_by: dict[Scope, tuple[Function | None, Class | None]] = {}
        self.classes: list[Class] = []
        self.functions: list[Function] = []

    @cached_property
    def lines(self) -> Lines:
        """Its lines."""
        return Lines(self.text)

    @property
    def size(self) -> int:
        """The number of nodes."""
        return len(self._scopes.order)

    def cut(self, what: str, most: int) -> None:
        """Notes that a reader has come to its limit, and has not read the file to its end."""
        self.limits[what] = most

    def parents(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yields the nodes that contain a node, nearest first."""
        up = self._scopes.parents.get
        above = up(node)
        while above is not None:
            yield above
            above = up(above)

    def _listed(self, node: ast.AST, parent: ast.AST) -> tuple[str, ast.AST | None]:
        """Returns the list of its parent that a node is in, and what comes before it there."""
        if parent not in self._blocks:
            self._blocks[parent] = {
                each: (name, before)
                for name, block in ast.iter_fields(parent)
                if isinstance(block, list)
                for before, each in zip((None, *block), block, strict=False)
            }
        return self._blocks[parent].get(node, ("", None))

    def before(self, node: ast.AST) -> ast.AST | None:
        """Returns what comes before a node in the same list: a statement, a value of an `and`."""
        parent = self._scopes.parents.get(node)
        return None if parent is None else self._listed(node, parent)[1]

    def is_in(self, node: ast.AST, parent: ast.AST, name: str) -> bool:
        """Whether a node is in a block of its parent: `body`, `orelse`, `finalbody`."""
        return self._listed(node, parent)[0] == name

    @cached_property
    def _ends(self) -> Sequence[int]:
        """Where what is in each node ends, in the order of the source."""
        order, places, parents = self._scopes.order, self._scopes.places, self._scopes.parents
        ends = list(range(1, len(order) + 1))
        for place in range(len(order) - 1, 0, -1):
            above = places[parents[order[place]]]
            if ends[above] < ends[place]:
                ends[above] = ends[place]
        return ends

    @overload
    def inside(self, node: ast.AST, one: type[_One], /) -> Sequence[_One]: ...

    @overload
    def inside(
        self, node: ast.AST, one: type[_One], two: type[_Two], /
    ) -> Sequence[_One | _Two]: ...

    @overload
    def inside(
        self, node: ast.AST, one: type[_One], two: type[_Two], three: type[_Three], /
    ) -> Sequence[_One | _Two | _Three]: ...

    @overload
    def inside(self, node: ast.AST, /, *kinds: type[ast.AST]) -> Sequence[Any]: ...

    def inside(self, node: ast.AST, /, *kinds: type[ast.AST]) -> Sequence[Any]:
        """Returns the nodes of some types in a node, itself included, in the order of the source.

        Operators and contexts, such as `ast.Load`, are not among them. The cost is that of the
        nodes that are returned, as every file is read only once.

        Args:
            node: A node of the file.
            kinds: Types that have no subclasses, as `ast.Call`.
        """
        place = self._scopes.places.__getitem__
        found: list[Any] = []
        if node is self.tree:
            for kind in kinds:
                found += self._scopes.kinds.get(kind, ())
        else:
            start = place(node)
            end = self._ends[start]
            for kind in kinds:
                nodes = self._scopes.kinds.get(kind, ())
                first = bisect_left(nodes, start, key=place)
                found += nodes[first : bisect_left(nodes, end, first, key=place)]
        return found if len(kinds) == 1 else sorted(found, key=place)

    def names_in(self, scope: ast.AST) -> Mapping[str, Sequence[ast.Name]]:
        """Returns the names below a node, by name."""
        if scope not in self._names_in:
            found: dict[str, list[ast.Name]] = {}
            for node in self.inside(scope, ast.Name):
                found.setdefault(node.id, []).append(node)
            self._names_in[scope] = found
        return self._names_in[scope]

    def function_of(self, node: ast.AST) -> Function | None:
        """Returns the innermost function whose body contains a node."""
        return self._holders(self._scopes.scopes[node])[0]

    def class_of(self, node: ast.AST) -> Class | None:
        """Returns the class whose method, or function nested in one, contains a node."""
        return self._holders(self._scopes.scopes[node])[1]

    def _holders(self, scope: Scope) -> tuple[Function | None, Class | None]:
        """Returns the function and the class that a scope is in, once these are known."""
        new: list[Scope] = []
        at: Scope | None = scope
        while at is not None and at not in self._held_by:
            new.append(at)
            at = at.outer
        function, cls = (None, None) if at is None else self._held_by[at]
        for each in reversed(new):
            known = self._by_node.get(each.node)
            if isinstance(known, Class):
                function = cls = None
            elif isinstance(known, Function):
                function, cls = known, known.cls or cls
            self._held_by[each] = (function, cls)
        return function, cls

    def receiver(self, node: ast.AST) -> str | None:
        """Returns the method's name for its object, `self`, if a node can use it; else None."""
        method = self.function_of(node)
        while method is not None and method.cls is None:
            method = self.function_of(method.node)
        if method is None or not method.is_bound:
            return None
        if "classmethod" in map(said_of, method.node.decorator_list):
            return None
        first = method.parameters[0] if method.parameters else None
        found = self._scopes.scopes[node].lookup(first.arg).bindings if first else []
        return first.arg if first and [b.node for b in found] == [first] else None

    def is_deliberate(self, node: ast.AST) -> bool:
        """Whether a name around a node, or the path, says that dropout is always on.

        Monte-Carlo and Bayesian dropout, augmentations of data, and the pre-net of Tacotron 2,
        whose dropout stays on in inference (Shen et al. 2018).
        """
        names = []
        scope: Scope | None = self._scopes.scopes[node]
        while scope is not None:  # there are fewer of these than of nodes around a node
            names.append(getattr(scope.node, "name", ""))
            scope = scope.outer
        return self.place.is_deliberate or any(map(_says_deliberate, names))

    @cached_property
    def trains(self) -> bool:
        """Whether anything in the file may belong to a training."""
        return _TRAINS.search(self.text) is not None

    @cached_property
    def place(self) -> Place:
        """What the path says; rules use nothing else of it."""
        return Place.of(self.path)

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Returns where a node's text begins and ends, in characters from the source's start."""
        assert isinstance(node, (ast.expr, ast.stmt, ast.arg, ast.keyword, ast.alias))
        end_line, end_column = node.end_lineno, node.end_col_offset
        assert end_line is not None
        assert end_column is not None
        return (self._offset(node.lineno, node.col_offset), self._offset(end_line, end_column))

    def _offset(self, line: int, column: int) -> int:
        start = self.lines.starts[line - 1]
        if self.text.isascii():
            return start + column
        if line not in self._lines:
            self._lines[line] = self.lines.line(line).encode(errors="surrogatepass")
        return start + len(self._lines[line][:column].decode(errors="replace"))

    def text_of(self, node: ast.AST) -> str:
        """Returns the source text of a node."""
        start, end = self.span(node)
        return self.text[start:end]
