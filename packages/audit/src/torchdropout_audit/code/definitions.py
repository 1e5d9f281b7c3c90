"""The calls, classes and functions of a source, as the rules see them."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .scopes import FunctionNode
from .signatures import SIGNATURES


class Unknown:
    """A value that cannot be known from the source."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        raise TypeError("Expected a test `is UNKNOWN`, got its truth")


UNKNOWN = Unknown()


UNKNOWN = Unknown()


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
    is_surely_module: bool = False
    is_module: bool = False
    methods: dict[str, Function] = field(default_factory=dict)
    attributes: dict[str, list[Assigned]] = field(default_factory=dict)

    def lineage(self) -> list[Class]:
        """Returns the class and its direct and indirect bases in this file, nearest first."""
        found = [self]
        for one in found:
            found.extend(base for base in one.bases if base not in found)
        return found

    def method(self, name: str) -> Function | None:
        """Returns its own method, or that of a base in this file."""
        return next((c.methods[name] for c in self.lineage() if name in c.methods), None)

    def assigned(self, name: str) -> list[Assigned]:
        """Returns all values assigned to an attribute, here or in a base in this file."""
        return [each for c in self.lineage() for each in c.attributes.get(name, ())]


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
        decorators = (d for d in self.node.decorator_list if isinstance(d, ast.Name))
        return self.cls is not None and "staticmethod" not in {d.id for d in decorators}

    @property
    def is_class_method(self) -> bool:
        """Whether its first parameter is a class."""
        decorators = (d for d in self.node.decorator_list if isinstance(d, ast.Name))
        return self.cls is not None and "classmethod" in {d.id for d in decorators}

    def given(self, call: Call, parameter: str) -> ast.expr | Unknown | None:
        """Returns the argument of a call for a parameter, or the default."""
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
        name: The qualified name of what is called; None if it is not known.
        function: The innermost function around it.
        cls: The class whose method, or function nested in one, it is in.
    """

    node: ast.Call
    name: str | None
    function: Function | None
    cls: Class | None

    def argument(self, name: str) -> ast.expr | Unknown | None:
        """Returns the argument for a parameter, by position or by name.

        Args:
            name: The parameter.

        Returns:
            The expression; None if there is none; UNKNOWN if `*args` or `**kwargs` may hold it.
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
