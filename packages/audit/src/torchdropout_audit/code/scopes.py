"""The names that each scope binds, by Python's rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Kind = Literal["import", "def", "value", "parameter", "other"]
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

_SCOPES = frozenset(
    (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, *COMPREHENSIONS)
)
_BINDING = frozenset(
    (
        *(ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
        *(ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.AugAssign, ast.For, ast.AsyncFor),
        *(ast.comprehension, ast.withitem, ast.ExceptHandler),
        *(ast.MatchAs, ast.MatchStar, ast.MatchMapping),
    )
)
# Half of all nodes have no children; operators and contexts are shared objects.
_LEAVES = frozenset(
    (ast.Name, ast.Constant, ast.Pass, ast.alias, ast.Global, ast.Nonlocal, ast.MatchSingleton)
)
_NO_NODES = frozenset(
    ("ctx", "op", "ops", "attr", "arg", "module", "level", "asname", "type_comment", "conversion")
    + ("simple", "is_async", "name", "rest", "kwd_attrs", "str", "tag")
)
_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {}  # for each type, those that hold nodes
_MOST_VALUES = 100  # bindings of a name: with more, its value at a place is not known


@dataclass(frozen=True)
class Binding:
    """One place that binds a name.

    Attributes:
        kind: `value` if an expression is assigned, `def` for functions and classes, `other`
            if the value is not written down: a loop, a `with`, an unpacking, `+=`.
        node: The statement, or the assigned expression.
        target: The qualified name of an import.
    """

    kind: Kind
    node: ast.AST
    target: str = ""


class Bound:
    """All that a name may stand for in a scope, and what follows from it.

    Attributes:
        bindings: The places that bind it.
    """

    def __init__(self) -> None:
        self.bindings: list[Binding] = []

    @cached_property
    def only(self) -> ast.AST | None:
        """What it is bound to if that is one thing, apart from None; else None."""
        found = [b.node for b in self.bindings if not is_none(b.node)]
        return found[0] if len(found) == 1 else None

    @cached_property
    def values(self) -> list[ast.expr | None]:
        """The expressions that it is assigned; None for one that is not written down."""
        if len(self.bindings) > _MOST_VALUES:
            return [None, None]
        return [
            b.node if b.kind == "value" and isinstance(b.node, ast.expr) else None
            for b in self.bindings
        ]


UNBOUND = Bound()
"""What a builtin is bound to, or an undefined name."""


@dataclass(eq=False)
class Scope:
    """A module, a class, a function or a comprehension, and the names it binds."""

    node: ast.AST
    outer: Scope | None
    names: dict[str, Bound] = field(default_factory=dict)
    elsewhere: dict[str, Scope] = field(default_factory=dict)  # global and nonlocal
    stars: list[str] = field(default_factory=list)
    _known: dict[str, Bound] = field(default_factory=dict)

    @property
    def is_class(self) -> bool:
        """Whether it is a class, whose names are not visible in its functions."""
        return isinstance(self.node, ast.ClassDef)

    def bind(self, name: str, binding: Binding) -> None:
        """Adds a binding of a name."""
        names = self.elsewhere.get(name, self).names
        if name not in names:
            names[name] = Bound()
        names[name].bindings.append(binding)

    def lookup(self, name: str) -> Bound:
        """Returns all bindings of a name, once all scopes are known."""
        if name not in self._known:
            self._known[name] = self._found(name)
        return self._known[name]

    def _found(self, name: str) -> Bound:
        scope: Scope | None = self.elsewhere.get(name, self)
        is_inner = True
        while scope is not None:
            if name in scope.names and (is_inner or not scope.is_class):
                return scope.names[name]
            if not isinstance(scope.node, COMPREHENSIONS):  # these see the names of a class
                is_inner = False
            scope = scope.outer
        return UNBOUND

    def holder(self) -> Scope:
        """Returns the scope that `:=` binds in: the nearest that is not a comprehension."""
        scope = self
        while isinstance(scope.node, COMPREHENSIONS) and scope.outer is not None:
            scope = scope.outer
        return scope


class Scopes:
    """The scopes of a tree, with the parent and the scope of each node.

    Attributes:
        parents: The parent of each node except the module.
        scopes: The scope in which each node is evaluated.
        module: The outermost scope.
        order: All nodes in the order of the source, each before what is in it.
        places: The place of each node in that order.
        kinds: The nodes of each type, in that order.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.parents: dict[ast.AST, ast.AST] = {}
        self.module = Scope(tree, None)
        self.scopes: dict[ast.AST, Scope] = {tree: self.module}
        self.order: list[ast.AST] = []
        self.places: dict[ast.AST, int] = {}
        self.kinds: dict[type[ast.AST], list[ast.AST]] = {}
        self._stored: set[tuple[int, str]] = set()
        binding = self._walk(tree)
        # In the order of the source, when each scope knows what is global in it.
        for kind in (ast.Global, ast.Nonlocal):
            for declaration in self.kinds.get(kind, ()):
                self._declare(declaration)
        for node in binding:
            self._bind(node)

    def _walk(self, tree: ast.Module) -> list[ast.AST]:
        """Visits every node once, with as few steps as can be: it is most of what a file costs.

        Returns:
            Those that bind names.
        """
        binding: list[ast.AST] = []
        parents, scopes, order = self.parents, self.scopes, self.order
        places, kinds = self.places, self.kinds
        waiting: list[ast.AST] = [tree]  # not recursion, since the depth of a tree is not limited
        while waiting:
            node = waiting.pop()
            places[node] = len(order)
            order.append(node)
            kind = type(node)
            if kind in kinds:
                kinds[kind].append(node)
            else:
                kinds[kind] = [node]
            if kind in _LEAVES:
                continue
            if kind in _BINDING:
                binding.append(node)
            scope, inside = scopes[node], _children(node)
            for child in inside:
                parents[child] = node
                scopes[child] = scope
            if kind in _SCOPES:
                self._open(node, scope, inside)
            inside.reverse()
            waiting += inside
        return binding

    def _open(self, node: ast.AST, scope: Scope, inside: list[ast.AST]) -> None:
        """Gives a node that opens a scope, and the nodes that are evaluated in it, that scope."""
        inner = Scope(node, scope)
        body = getattr(node, "body", inside)  # of a comprehension, all
        for child in body if isinstance(body, list) else [body]:
            self.scopes[child] = inner
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            for each in _children(node.args):
                if isinstance(each, ast.arg):
                    inner.bind(each.arg, Binding("parameter", each))

    def _declare(self, node: ast.AST) -> None:
        assert isinstance(node, (ast.Global, ast.Nonlocal))
        scope = self.scopes[node]
        for name in node.names:
            home: Scope | None = self.module
            if isinstance(node, ast.Nonlocal):
                home = scope.outer
                while home is not None and (home.is_class or not self._is_bound(home, name)):
                    home = home.outer
            scope.elsewhere[name] = home or self.module

    def _is_bound(self, scope: Scope, name: str) -> bool:
        if name in scope.names:
            return True
        if not self._stored:
            self._stored = {
                (id(self.scopes[node]), node.id)
                for node in self.kinds.get(ast.Name, ())
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }
        return (id(scope), name) in self._stored

    def _bind(self, node: ast.AST) -> None:
        scope = self.scopes[node]
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            _import(node, scope)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            scope.bind(node.name, Binding("def", node))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                _assign(target, node.value, scope, node)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                _assign(node.target, node.value, scope, node)
        elif isinstance(node, ast.NamedExpr):
            _assign(node.target, node.value, scope.holder(), node)
        elif isinstance(node, (ast.AugAssign, ast.For, ast.AsyncFor, ast.comprehension)):
            _assign(node.target, None, scope, node)
        elif isinstance(node, ast.withitem):
            if node.optional_vars is not None:
                _assign(node.optional_vars, None, scope, node)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
            if node.name:
                scope.bind(node.name, Binding("other", node))
        elif isinstance(node, ast.MatchMapping) and node.rest:
            scope.bind(node.rest, Binding("other", node))


def _children(node: ast.AST) -> list[ast.AST]:
    """Returns the children of a node, several times as fast as `ast.iter_child_nodes`."""
    inside: list[ast.AST] = []
    names = _FIELDS.get(type(node)) or _fields(type(node))
    for value in map(node.__dict__.get, names):
        if type(value) is list:
            inside += value
        elif value is not None:
            inside.append(value)
    return [each for each in inside if each is not None] if None in inside else inside


def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    """Returns the fields of a type that hold nodes; the name of a type alias is one."""
    no_nodes = _NO_NODES - {"name"} if kind.__name__ == "TypeAlias" else _NO_NODES
    _FIELDS[kind] = tuple(name for name in kind._fields if name not in no_nodes)
    return _FIELDS[kind]


def is_none(node: ast.AST) -> bool:
    """Whether a node is `None`."""
    return isinstance(node, ast.Constant) and node.value is None


def _import(node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
    if isinstance(node, ast.Import):
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            target = alias.name if alias.asname else name
            scope.bind(name, Binding("import", node, target))
        return
    origin = "." * node.level + (node.module or "")
    for alias in node.names:
        if alias.name == "*":
            scope.stars.append(origin)
        else:
            joint = "" if origin.endswith(".") else "."
            target = f"{origin}{joint}{alias.name}"
            scope.bind(alias.asname or alias.name, Binding("import", node, target))


def _assign(target: ast.expr, value: ast.expr | None, scope: Scope, statement: ast.AST) -> None:
    """Binds the names of a target; `statement` is used if the value is not written down."""
    for each, given in pairs(target, value):
        if isinstance(each, ast.Name):
            kind: Kind = "other" if given is None else "value"
            scope.bind(each.id, Binding(kind, statement if given is None else given))


def pairs(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[ast.expr, ast.expr | None]]:
    """Yields what an assignment binds, and each value; None for one that is not written down."""
    if isinstance(target, ast.Starred):
        yield from pairs(target.value, None)
    elif isinstance(target, (ast.Tuple, ast.List)):
        parts: list[ast.expr | None] = [None] * len(target.elts)
        if (
            isinstance(value, (ast.Tuple, ast.List))
            and len(value.elts) == len(parts)
            and not any(isinstance(e, ast.Starred) for e in (*target.elts, *value.elts))
        ):
            parts = list(value.elts)
        for element, part in zip(target.elts, parts, strict=True):
            yield from pairs(element, part)
    else:
        yield target, value
