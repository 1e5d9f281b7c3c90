"""The calls, classes and functions of a source, as the rules see them."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from .nodes import said_of
from .scopes import FunctionNode
from .signatures import SIGNATURES


class Unknown:
    """A value that cannot be known from the source."""

    def __bool__(self) -> bool:
        raise TypeError("Expected a test `is UNKNOWN`, got its truth")


UNKNOWN = Unknown()

# No class that a person wrote has more; each class would otherwise cost as much as it has bases.
_MOST_BASES = 50


@dataclass(frozen=True)
class Pattern:
    """A text of which only the beginning and the end may be known: `f"conv{i}_norm"`."""

    start: str
    is_whole: bool
    end: str = ""

    def matches(self, other: Pattern) -> bool:
        """Whether two texts may be the same."""
        if self.is_whole and other.is_whole:
            return self.start == other.start
        if self.is_whole or other.is_whole:
            whole, part = (self, other) if self.is_whole else (other, self)
            is_long = len(whole.start) >= len(part.start) + len(part.end)
            return is_long and whole.start.startswith(part.start) and whole.start.endswith(part.end)
        starts = self.start.startswith(other.start) or other.start.startswith(self.start)
        return starts and (self.end.endswith(other.end) or other.end.endswith(self.end))


@dataclass(eq=False)
class Assigned:
    """A value that an attribute is assigned.

    Attributes:
        node: The statement.
        value: The expression; None if it is not written down.
        function: The method that assigns it; None in the body of the class.
    """

    node: ast.AST
    value: ast.expr | None
    function: Function | None


@dataclass(eq=False)
class Class:
    """A class statement.

    Attributes:
        node: The statement.
        name: Its name.
        bases: Its bases in this file.
        is_surely_module: Whether a base is known to be a `torch.nn.Module`.
        is_module: The same, or it has a `forward` and an unknown base.
        methods: The methods it defines itself.
        attributes: What `self.x = ...` and the body of the class assign.
    """

    node: ast.ClassDef
    name: str
    bases: tuple[Class, ...] = ()
    is_surely_module: bool = field(init=False)
    is_module: bool = field(init=False)
    methods: dict[str, Function] = field(default_factory=dict)
    attributes: dict[str, list[Assigned]] = field(default_factory=dict)
    _lineage: tuple[Class, ...] | None = None
    _methods: dict[str, Function | None] = field(default_factory=dict)
    _assigned: dict[str, list[Assigned]] = field(default_factory=dict)

    def forget(self) -> None:
        """Forgets what was found with the bases that it had."""
        self._lineage = None
        self._methods.clear()
        self._assigned.clear()

    def lineage(self) -> Sequence[Class]:
        """Returns the class and its bases in this file, nearest first, up to a limit."""
        if self._lineage is None:
            found = {self: None}
            waiting = deque([self])
            while waiting and len(found) < _MOST_BASES:
                for base in waiting.popleft().bases:
                    if base not in found:
                        found[base] = None
                        waiting.append(base)
            self._lineage = tuple(found)
        return self._lineage

    def method(self, name: str) -> Function | None:
        """Returns its own method, or that of a base in this file."""
        if name not in self._methods:
            found = (one.methods[name] for one in self.lineage() if name in one.methods)
            self._methods[name] = next(found, None)
        return self._methods[name]

    def assigned(self, name: str) -> Sequence[Assigned]:
        """Returns all values assigned to an attribute, here or in a base in this file."""
        if name not in self._assigned:
            self._assigned[name] = [
                each for c in self.lineage() for each in c.attributes.get(name, ())
            ]
        return self._assigned[name]


@dataclass(eq=False)
class Function:
    """A function definition.

    Attributes:
        node: The statement.
        name: Its name.
        cls: The class that it is a method of.
        parameters: All parameters including `self`, without `*args` and `**kwargs`.
        defaults: The default of each parameter that has one.
        callers: Its calls in this file.
        is_step: Whether it runs at each step: a `forward` of a Module, or called by one here.
    """

    node: FunctionNode
    name: str
    cls: Class | None
    parameters: Sequence[ast.arg]
    defaults: Mapping[str, ast.expr]
    callers: list[Call] = field(default_factory=list)
    is_step: bool = False

    @property
    def is_bound(self) -> bool:
        """Whether a call by `self.name()` fills the first parameter."""
        return self.cls is not None and "staticmethod" not in map(said_of, self.node.decorator_list)

    def given(self, call: Call, parameter: str) -> ast.expr | Unknown | None:
        """Returns the argument of a call for a parameter, or the default."""
        found = argument_of(call.node, parameter, self.places.get(parameter))
        if found is UNKNOWN and call.spread is not None:
            found = call.spread.get(parameter)
        return self.defaults.get(parameter) if found is None else found

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the parameters."""
        return frozenset(parameter.arg for parameter in self.parameters)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The position at which a call passes each parameter that has one."""
        positional = [*self.node.args.posonlyargs, *self.node.args.args]
        given = positional[1 if self.is_bound else 0 :]
        return {parameter.arg: place for place, parameter in enumerate(given)}


@dataclass(eq=False)
class Call:
    """A call.

    Attributes:
        node: The expression.
        name: The qualified name of what is called; None if it is not known.
        function: The innermost function around it.
        cls: The class whose method, or function nested in one, it is in.
        spread: What `**options` gives, where that is a dict that is written down and not changed.
    """

    node: ast.Call
    name: str | None
    function: Function | None
    cls: Class | None
    spread: Mapping[str, ast.expr] | None = None

    def argument(self, name: str) -> ast.expr | Unknown | None:
        """Returns the argument for a parameter, by position or by name.

        Args:
            name: The parameter.

        Returns:
            The expression; None if there is none; UNKNOWN if `*args` or `**kwargs` may hold it.
        """
        places = SIGNATURES.get(self.name or "", ())
        found = argument_of(self.node, name, places.index(name) if name in places else None)
        if found is UNKNOWN and self.spread is not None:
            found = self.spread.get(name)
        return found


def argument_of(node: ast.Call, name: str, place: int | None = None) -> ast.expr | Unknown | None:
    """Returns the argument of a call for a parameter.

    Args:
        node: The call.
        name: The parameter.
        place: Its place among the positional ones; None if it is passed by name only.

    Returns:
        The expression; None if there is none; UNKNOWN if `*args` or `**kwargs` may hold it.
    """
    is_open = False
    for keyword in node.keywords:
        if keyword.arg == name:
            return keyword.value
        is_open |= keyword.arg is None
    if place is not None:
        before = node.args[: place + 1]
        if any(isinstance(argument, ast.Starred) for argument in before):
            return UNKNOWN
        if place < len(before):
            return before[place]
    return UNKNOWN if is_open else None
