"""Lists and dicts that a source writes down."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cached_property

from .definitions import Class
from .names import Names

_MOST_EXPANDED = 50
_MOST_DICTS = 4  # `**options` of one call


class Layers(Names):
    """A source in which lists and dicts can be read."""

    def is_sequential(self, cls: Class) -> bool:
        """Whether a class is a `Sequential`: the one base that it, or a base here, has elsewhere.

        Args:
            cls: A class of the file.
        """
        bases = (base for one in cls.lineage() for base in one.node.bases)
        foreign = [self.name(each) for each in bases if not isinstance(self.local(each), Class)]
        return foreign == ["torch.nn.Sequential"]

    def spread(self, call: ast.Call) -> Mapping[str, ast.expr] | None:
        """Returns what `**options` gives a call, where it is a dict that is written down.

        Args:
            call: A call.

        Returns:
            The values by name; None for a call without such options, for a dict that may be changed
            or is not known, and for one with `*arguments`.
        """
        dicts = [each.value for each in call.keywords if each.arg is None]
        if (
            not dicts
            or len(dicts) > _MOST_DICTS
            or any(isinstance(each, ast.Starred) for each in call.args)
        ):
            return None
        found: dict[str, ast.expr] = {}
        for each in dicts:
            if isinstance(each, (ast.Name, ast.Attribute)):
                values = self.assigned(each)
                name = each.id if isinstance(each, ast.Name) else f".{each.attr}"
                if len(values) != 1 or values[0] is None or name in self._changed:
                    return None
                each = values[0]
            pairs = _written(each)
            if pairs is None:
                return None
            found.update(pairs)
        return found

    @cached_property
    def _changed(self) -> frozenset[str]:
        """The names of lists and dicts that a method or an index may have changed.

        Those of attributes begin with a dot.
        """
        found = set()
        for node in self.inside(self.tree, ast.Call, ast.Subscript):
            target: ast.AST | None = None
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                target = node.func.value
            elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
                target = node.value
            if isinstance(target, ast.Name):
                found.add(target.id)
            elif isinstance(target, ast.Attribute):
                found.add(f".{target.attr}")
        return frozenset(found)


def _written(expr: ast.expr) -> Mapping[str, ast.expr] | None:
    """Returns the values of a dict by their names; None if it is not written down."""
    pairs: list[tuple[object, ast.expr]] = []
    if isinstance(expr, ast.Dict):
        keys = (getattr(key, "value", None) for key in expr.keys)
        pairs = [*zip(keys, expr.values, strict=True)]
    elif isinstance(expr, ast.Call) and getattr(expr.func, "id", "") == "dict" and not expr.args:
        pairs = [(each.arg, each.value) for each in expr.keywords]
    else:
        return None
    named = {name: value for name, value in pairs if isinstance(name, str)}
    return named if len(named) == len(pairs) <= _MOST_EXPANDED else None
