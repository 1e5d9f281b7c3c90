"""The calls, classes and functions of a source, as the rules see them."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .scopes import FunctionNode
from .signatures import SIGNATURES


class Unknown:
    """What cannot be known from the source."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        raise TypeError("Expected a test `is UNKNOWN`, got its truth")


UNKNOWN = Unknown()


UNKNOWN = Unknown()


@dataclass(eq=False)
class Assigned:
    """A value that an attribute is given.

    Attributes:
        node: The statement.
        value: The expression; None where it is not written down.
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
        bases: The classes of this file that it is derived from.
        is_surely_module: A base is known to be a `torch.nn.Module`.
        is_module: That, or it has a `forward` and a base that is not known.
        methods: Those that it defines itself.
        attributes: What `self.x = ...` and the body of the class assign.
    """

    node: ast.ClassDef
    name: str
    bases: tuple[Class, ...] = ()
    is_surely_module: bool = False
    is_module: bool = False
    methods: dict[str, Function] = field(default_factory=dict)
    attributes: dict[str, list[Assigned]] = field(default_factory=dict)

    def lineage(self) -> list[Class]:
        """The class and those of this file that it is derived from, nearest first."""
        found = [self]
        for one in found:
            found.extend(base for base in one.bases if base not in found)
        return found

    def method(self, name: str) -> Function | None:
        """A method, its own or a base's in this file."""
        return next((c.methods[name] for c in self.lineage() if name in c.methods), None)

    def assigned(self, name: str) -> list[Assigned]:
        """All that an attribute is given, here or in a base of this file."""
        return [each for c in self.lineage() for each in c.attributes.get(name, ())]


@dataclass(eq=False)
class Function:
    """A `def`.

    Attributes:
        node: The statement.
        name: Its name.
        cls: The class that it is a method of.
        parameters: All of them, `self` too, without `*args` and `**kwargs`.
        defaults: The default of each parameter that has one.
        callers: The calls of it in this file.
        is_step: It runs at each step: a `forward` of a Module, or called by one in this file.
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
        decorators = (d for d in self.node.decorator_list if isinstance(d, ast.Name))
        return self.cls is not None and "staticmethod" not in {d.id for d in decorators}

    @property
    def is_class_method(self) -> bool:
        """Whether its first parameter is a class."""
        decorators = (d for d in self.node.decorator_list if isinstance(d, ast.Name))
        return self.cls is not None and "classmethod" in {d.id for d in decorators}

    def given(self, call: Call, parameter: str) -> ast.expr | Unknown | None:
        """What a call of this function gives for a parameter; its default where it gives none."""
        names = [p.arg for p in self.parameters]
        positional = [*self.node.args.posonlyargs, *self.node.args.args]
        places = [p.arg for p in positional][1 if self.is_bound else 0 :]
        found = _argument(call.node, places, parameter)
        if found is None and parameter in names:
            return self.defaults.get(parameter)
        return found


@dataclass(eq=False)
class Call:
    """A call.

    Attributes:
        node: The expression.
        name: The qualified name of what is called; None where it is not known.
        function: The innermost `def` round it.
        cls: The class whose method it stands in, nested functions counted.
    """

    node: ast.Call
    name: str | None
    function: Function | None
    cls: Class | None

    def argument(self, name: str) -> ast.expr | Unknown | None:
        """What is given for a parameter, by place or by name.

        Args:
            name: The parameter.

        Returns:
            The expression; None where none is given; UNKNOWN where `*args` or `**kwargs` may.
        """
        return _argument(self.node, SIGNATURES.get(self.name or "", ()), name)


def _argument(node: ast.Call, places: Sequence[str], name: str) -> ast.expr | Unknown | None:
    is_open = False
    for keyword in node.keywords:
        if keyword.arg == name:
            return keyword.value
        is_open |= keyword.arg is None
    for place, argument in enumerate(node.args):
        if isinstance(argument, ast.Starred):
            if name in places[place:]:
                return UNKNOWN
            break
        if place < len(places) and places[place] == name:
            return argument
    return UNKNOWN if is_open else None
