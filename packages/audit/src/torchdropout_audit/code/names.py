"""What the names in a source stand for, and the values they are assigned."""

from __future__ import annotations

import ast

from .definitions import UNKNOWN, Assigned, Class, Function
from .scopes import Binding
from .signatures import canonical, is_public
from .tree import Tree

_DEEPEST = 12  # names that stand for names: a circle, or unreadable


class Names(Tree):
    """A source in which names are resolved."""

    def __init__(self, text: str, path: str = "<text>") -> None:
        super().__init__(text, path)
        self._names: dict[ast.AST, str | None] = {}

    def name(self, expr: ast.AST) -> str | None:
        """Returns the qualified name of what an expression stands for.

        Args:
            expr: A name, or attributes of one.

        Returns:
            For example `torch.nn.functional.dropout`, whatever its local name; None for what this
            file defines, for what is not known, and for what may be several things.
        """
        return self._name(expr, 0)

    def _name(self, expr: ast.AST, depth: int) -> str | None:
        if expr not in self._names:
            if depth > _DEEPEST:
                return None
            self._names[expr] = None  # for a name that stands for itself
            self._names[expr] = self._resolve(expr, depth)
        return self._names[expr]

    def _resolve(self, expr: ast.AST, depth: int) -> str | None:
        if isinstance(expr, ast.Attribute):
            origin = self._name(expr.value, depth + 1)
            if origin is not None:
                return canonical(f"{origin}.{expr.attr}")
            values = [each.value for each in self._held(expr)]
            if len(values) == 1 and isinstance(values[0], (ast.Name, ast.Attribute)):
                return self._name(values[0], depth + 1)
            return None
        if not isinstance(expr, ast.Name):
            return None
        bindings = self.bindings(expr)
        if not bindings:
            return self._starred(expr.id)
        found: set[str | None] = set()
        for binding in bindings:
            if binding.kind == "import":
                found.add(canonical(binding.target))
            elif binding.kind == "value" and isinstance(binding.node, (ast.Name, ast.Attribute)):
                found.add(self._name(binding.node, depth + 1))
            elif not _is_none(binding.node):  # `except ImportError: flash_attn_func = None`
                return None
        return found.pop() if len(found) == 1 else None

    def _starred(self, name: str) -> str | None:
        for origin in self._scopes.module.stars:
            whole = canonical(f"{origin}.{name}")
            if is_public(whole):
                return whole
        return None

    def bindings(self, name: ast.Name) -> list[Binding]:
        """Returns all that a name may stand for at its place."""
        return self._scopes.scopes[name].lookup(name.id)

    def local(self, expr: ast.AST) -> Function | Class | None:
        """Returns the function or class of this file that an expression names.

        Args:
            expr: `helper`, `self.helper`, `cls.helper`, `Class.helper`.

        Returns:
            The definition; None if there is none, or more than one.
        """
        if isinstance(expr, ast.Name):
            found = [b.node for b in self.bindings(expr) if not _is_none(b.node)]
            if len(found) != 1:
                return None
            if isinstance(found[0], ast.Name) and found[0] is not expr:
                return self._by_node.get(found[0]) or self._local_once(found[0])
            return self._by_node.get(found[0])
        if isinstance(expr, ast.Attribute) and isinstance(expr.value, ast.Name):
            owner = self._owner(expr.value)
            return None if owner is None else owner.method(expr.attr)
        return None

    def _local_once(self, name: ast.Name) -> Function | Class | None:
        found = self.bindings(name)
        return self._by_node.get(found[0].node) if len(found) == 1 else None

    def _owner(self, name: ast.Name) -> Class | None:
        """Returns the class that `self`, `cls` or a class's name stands for."""
        if name.id in ("self", "cls"):
            return self.class_of(name)
        found = self.bindings(name)
        owner = self._by_node.get(found[0].node) if len(found) == 1 else None
        return owner if isinstance(owner, Class) else None

    def _held(self, expr: ast.Attribute) -> list[Assigned]:
        """Returns all values of an attribute of a class in this file."""
        owner = self._owner(expr.value) if isinstance(expr.value, ast.Name) else None
        return [] if owner is None else owner.assigned(expr.attr)

    def assigned(self, expr: ast.AST) -> list[ast.expr | None]:
        """Returns the expressions assigned to a name or an attribute of `self`.

        None stands for a value that is not written down. The list is empty if nothing is known: for
        a builtin, or an attribute of a base in another file.
        """
        if isinstance(expr, ast.Name):
            return [
                b.node if b.kind == "value" and isinstance(b.node, ast.expr) else None
                for b in self.bindings(expr)
            ]
        if isinstance(expr, ast.Attribute):
            return [each.value for each in self._held(expr)]
        return []

    def value(self, expr: ast.AST) -> object:
        """Returns the literal value of an expression, following names that are bound once.

        Args:
            expr: An expression.

        Returns:
            A number, a string, a bool or None; UNKNOWN for everything else.
        """
        return self._value(expr, 0)

    def _value(self, expr: ast.AST | None, depth: int) -> object:
        if expr is None or depth > _DEEPEST:
            return UNKNOWN
        if isinstance(expr, ast.Constant):
            return expr.value
        if isinstance(expr, ast.UnaryOp) and isinstance(expr.op, (ast.USub, ast.UAdd)):
            inner = self._value(expr.operand, depth + 1)
            if isinstance(inner, (int, float)):
                return -inner if isinstance(expr.op, ast.USub) else +inner
        if isinstance(expr, ast.BinOp):
            return self._computed(expr, depth)
        if isinstance(expr, (ast.Name, ast.Attribute)):
            values = self.assigned(expr)
            if len(values) == 1:
                return self._value(values[0], depth + 1)
        return UNKNOWN

    def _computed(self, expr: ast.BinOp, depth: int) -> object:
        left, right = self._value(expr.left, depth + 1), self._value(expr.right, depth + 1)
        if not isinstance(left, (int, float)) or not isinstance(right, (int, float)):
            return UNKNOWN
        if isinstance(expr.op, ast.Add):
            return left + right
        if isinstance(expr.op, ast.Sub):
            return left - right
        if isinstance(expr.op, ast.Mult):
            return left * right
        if isinstance(expr.op, ast.Div) and right != 0:
            return left / right
        return UNKNOWN


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
