"""Layers of a `Sequential` that grows: `layers.append(...)` in a loop, `nn.Sequential(*layers)`."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..code import Call, Code, Function
from ._rule import kept
from ._sequences import Layer, Path, Reader
from ._turns import last_turns

_ADDERS = frozenset(("append", "add_module", "register_module"))
_SEQUENTIAL = "torch.nn.Sequential"
_MOST = 8  # ways to reach a statement that are followed
_MOST_PATHS = 2000
_MOST_GIVEN = 20  # arguments of a Sequential
_DEEPEST_LOOPS = 4  # loops in loops that are followed
_Ways = tuple[Path | None, ...]
_UNKNOWN: _Ways = (None,)
# For a statement and the name of its block, the statements in it; a dict for its order.
_Blocks = dict[tuple[ast.AST, str], dict[ast.AST, None]]


def grown(reader: Reader) -> Iterator[Path]:
    """Yields the layers that are added to a list or a Sequential, each after those before it.

    Of a choice (`if`), each branch is followed; of a loop, two turns.

    Args:
        reader: Reads the layers of a file.
    """
    code = reader.code
    scopes: dict[ast.AST, dict[str, ast.AST]] = {}
    for call in code.calls:
        for name, function in _containers(code, call):
            holder: ast.AST = code.tree if function is None else function.node
            scopes.setdefault(holder, {}).setdefault(name, call.node)
    if not scopes:
        return
    mentions = _mentions(code, scopes)
    for scope, names in scopes.items():
        for name, whole in names.items():
            yield from _Grower(reader, name, whole, mentions[scope, name]).paths(scope)


def _containers(code: Code, call: Call) -> Iterator[tuple[str, Function | None]]:
    """Yields the names, each with its function, of what a Sequential is made of."""
    if call.name != "torch.nn.Sequential":
        bases = call.cls.node.bases if call.cls is not None else []
        if call.function is not None and [code.name(each) for each in bases] == [_SEQUENTIAL]:
            func = call.node.func
            if isinstance(func, ast.Attribute) and func.attr == "add_module":
                yield "self", call.function  # `self.add_module("drop", nn.Dropout(p))`
        return
    for argument in call.node.args:
        if isinstance(argument, ast.Starred):
            value = argument.value
        elif isinstance(argument, ast.Call) and code.name(argument.func) in (
            "collections.OrderedDict",
            "collections.OrderedDict.items",
        ):
            value = argument.args[0] if argument.args else argument
        else:
            value = argument  # an OrderedDict by its name
        if isinstance(value, ast.Call):
            yield from _returned(code, value)
        elif name := _named(value):
            yield name, call.function
    parent = next(code.parents(call.node))
    if isinstance(parent, (ast.Assign, ast.AnnAssign)):
        targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
        for target in targets:
            if name := _named(target):
                yield name, call.function


def _returned(code: Code, call: ast.Call) -> Iterator[tuple[str, Function | None]]:
    """Yields the list that a function of this file returns: `nn.Sequential(*block(8, 8))`."""
    function = code.local(call.func)
    if isinstance(function, Function):
        for name in _names_returned(code, function):
            yield name, function


@kept
def _names_returned(code: Code, function: Function) -> tuple[str, ...]:
    found = {
        _named(node.value): None
        for node in ast.walk(function.node)
        if isinstance(node, ast.Return)
        and node.value is not None
        and code.function_of(node) is function
    }
    return tuple(name for name in found if name)


def _named(expr: ast.expr) -> str:
    """Returns a name, or an attribute of self, as text; "" for anything else."""
    if isinstance(expr, ast.Name):
        return expr.id
    if isinstance(expr, ast.Attribute) and isinstance(expr.value, ast.Name):
        return f"{expr.value.id}.{expr.attr}" if expr.value.id == "self" else ""
    return ""


def _mentions(
    code: Code, scopes: Mapping[ast.AST, Mapping[str, ast.AST]]
) -> dict[tuple[ast.AST, str], _Blocks]:
    """Returns, for each container, the statements of each block that mention it, in order."""
    wanted = {name for names in scopes.values() for name in names}
    homes: dict[ast.AST, tuple[ast.AST, str]] = {}
    nodes: list[ast.expr] = []
    for node in ast.walk(code.tree):
        for kind in ("body", "orelse", "finalbody"):
            block = getattr(node, kind, None)
            if isinstance(block, list):
                homes.update(dict.fromkeys(block, (node, kind)))
        if isinstance(node, (ast.Name, ast.Attribute)) and _named(node) in wanted:
            nodes.append(node)
    found: dict[tuple[ast.AST, str], _Blocks] = defaultdict(lambda: defaultdict(dict))
    for node in nodes:
        name = _named(node)
        inside: list[ast.AST] = [node]
        for parent in code.parents(node):
            if name in scopes.get(parent, ()):
                for each in inside:
                    if each in homes:
                        found[parent, name][homes[each]][each] = None
                break
            inside.append(parent)
    return found


class _Grower:
    """Follows what is added to one container."""

    def __init__(self, reader: Reader, name: str, whole: ast.AST, blocks: _Blocks) -> None:
        self.reader = reader
        self.name = name
        self.whole = whole
        self.blocks = blocks
        self.found: list[Path] = []
        self._loops = 0

    def paths(self, holder: ast.AST) -> list[Path]:
        """Returns the paths in a function, or in the module."""
        ways = self._block(holder, "body", _UNKNOWN)
        given = self.whole.args if isinstance(self.whole, ast.Call) else []
        if len(given) < _MOST_GIVEN and not any(map(self._is_in, given[:-1])):
            # Nothing follows the list.
            self.found += [replace(way, ends=True) for way in ways if way is not None]
        return self.found

    def _is_in(self, node: ast.AST) -> bool:
        return any(
            isinstance(each, (ast.Name, ast.Attribute)) and _named(each) == self.name
            for each in ast.walk(node)
        )

    def _block(self, parent: ast.AST, kind: str, ways: _Ways) -> _Ways:
        statements: list[Any] = [*self.blocks.get((parent, kind), ())]
        for statement in sorted(statements, key=lambda each: (each.lineno, each.col_offset)):
            if len(self.found) > _MOST_PATHS:
                return _UNKNOWN
            ways = self._statement(statement, ways)
        return ways

    def _statement(self, node: ast.stmt, ways: _Ways) -> _Ways:
        if isinstance(node, ast.If):
            return _joined(self._block(node, "body", ways), self._block(node, "orelse", ways))
        if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            if self._loops >= _DEEPEST_LOOPS:
                return _UNKNOWN
            self._loops += 1
            once = self._block(node, "body", ways)
            # What ends one turn is before what begins the next.
            twice = self._block(node, "body", once)
            self._loops -= 1
            after = _joined(_joined(ways, once), twice)
            return self._block(node, "orelse", _without_last_turns(node.body, after))
        if isinstance(node, (ast.With, ast.AsyncWith)):
            return self._block(node, "body", ways)
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(_named(target) == self.name for target in targets):
                return self._assigned(node.value, ways)
            # `self.net = nn.Sequential(*layers)` reads it.
            return ways if not any(map(self._is_in, targets)) else _UNKNOWN
        if isinstance(node, ast.AugAssign) and _named(node.target) == self.name:
            return self._added(node.value, ways)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            return self._called(node.value, ways)
        if isinstance(node, (ast.Return, ast.Assert)):
            return ways
        return _UNKNOWN

    def _assigned(self, value: ast.expr, ways: _Ways) -> _Ways:
        if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
            if _named(value.left) == self.name:
                return self._added(value.right, ways)
        elif isinstance(value, ast.Call) and not self._is_in(value):
            call = self.reader.calls.get(value)
            layers = None if call is None else self.reader.sequential(call, set())
            path: Path | None = None
            for layer in layers or ():
                path = Path(layer, path, ends=False, whole=self.whole)
            return (path,)
        return self._added(value, _UNKNOWN)

    def _called(self, call: ast.Call, ways: _Ways) -> _Ways:
        func = call.func
        if not isinstance(func, ast.Attribute) or _named(func.value) != self.name:
            return _UNKNOWN  # it is given to something that may change it
        if func.attr in _ADDERS and call.args:
            return self._layer(call.args[-1], ways)
        if func.attr == "extend" and len(call.args) == 1:
            return self._added(call.args[0], ways)
        return _UNKNOWN

    def _added(self, value: ast.expr, ways: _Ways) -> _Ways:
        """Adds the elements of a list."""
        if isinstance(value, (ast.List, ast.Tuple)):
            for element in value.elts:
                ways = _UNKNOWN if isinstance(element, ast.Starred) else self._layer(element, ways)
            return ways
        return _UNKNOWN

    def _layer(self, expr: ast.expr, ways: _Ways) -> _Ways:
        if isinstance(expr, ast.Tuple) and len(expr.elts) == 2:
            expr = expr.elts[1]  # a name and its layer
        call = self.reader.calls.get(expr) if isinstance(expr, ast.Call) else None
        layers = None if call is None else self.reader.sequential(call, set())
        if layers is None:
            layers = [self.reader.built(expr, expr)]
        for layer in layers:
            now = [Path(layer, way, ends=False, whole=self.whole) for way in ways]
            self.found += now
            ways = tuple(now)
        return ways


def _without_last_turns(body: list[ast.stmt], ways: _Ways) -> _Ways:
    """Returns the ways that may lead out of a loop: `if i < n - 1` adds nothing in its last."""
    last = [*last_turns(body, is_last=False)]
    left = tuple(
        way
        for way in ways
        if way is None or not any(a <= way.last.node.lineno <= b for a, b in last)
    )
    return left or _UNKNOWN


def _joined(first: _Ways, second: _Ways) -> _Ways:
    """Returns all ways of two branches, or none where they are too many."""
    last = {_last_two(way): way for way in (*first, *second)}
    return tuple(last.values()) if len(last) <= _MOST else _UNKNOWN


def _last_two(path: Path | None) -> tuple[Layer, ...]:
    """Returns the last layers, by which two ways are told apart."""
    found: list[Layer] = []
    while path is not None and len(found) < 2:
        found.append(path.last)
        path = path.earlier
    return tuple(found)
