"""Lists, dicts and partials that a source writes down."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cached_property

from .definitions import Class
from .names import Names

_MOST_EXPANDED = 50
_MOST_DICTS = 4  # `**options` of one call


class Layers(Names):
    """A source in which lists, dicts and partials can be read."""

    def is_sequential(self, cls: Class) -> bool:
        """Whether a class is a `Sequential`: the one base that it, or a base here, has elsewhere.

        Args:
            cls: A class of the file.
        """
        bases = (base for one in cls.lineage() for base in one.node.bases)
        foreign = [self.name(each) for each in bases if not isinstance(self.local(each), Class)]
        return foreign == ["torch.nn.Sequential"]

    def listed(self, expr: ast.expr) -> list[ast.expr] | None:
        """Returns the elements of a list or tuple; None if not written down, or changed later."""
        if isinstance(expr, ast.Name):
            values = self.assigned(expr)
            if len(values) != 1 or values[0] is None or expr.id in self._changed:
                return None
            expr = values[0]
        if not isinstance(expr, (ast.List, ast.Tuple)):
            return None
        return None if any(isinstance(e, ast.Starred) for e in expr.elts) else list(expr.elts)

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

    def partial(self, func: ast.expr) -> ast.Call | None:
        """Returns the `functools.partial(f, name=value)` that a call calls; None for another.

        One that binds arguments by position, or by `**options`, is not returned.

        Args:
            func: What is called: `partial(f)`, or a name or an attribute of self for it.
        """
        if not self._has_partials:
            return None
        made: ast.expr | None = func
        if not isinstance(func, ast.Call):
            values = [
                each
                for each in self.assigned(func)
                if not isinstance(each, ast.Constant) or each.value is not None
            ]
            made = values[0] if len(values) == 1 else None
        if not isinstance(made, ast.Call) or len(made.args) != 1:
            return None
        if self.name(made.func) != "functools.partial" or any(k.arg is None for k in made.keywords):
            return None
        return made

    @cached_property
    def _has_partials(self) -> bool:
        return "functools" in self.text

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
    if isinstance(expr, ast.Dict) and len(expr.keys) <= _MOST_EXPANDED:
        pairs = zip(expr.keys, expr.values, strict=True)
        named = {
            key.value: value
            for key, value in pairs
            if isinstance(key, ast.Constant) and isinstance(key.value, str)
        }
        return named if len(named) == len(expr.keys) else None
    if not isinstance(expr, ast.Call) or len(expr.keywords) > _MOST_EXPANDED:
        return None
    if isinstance(expr.func, ast.Name) and expr.func.id == "dict":
        named = {each.arg: each.value for each in expr.keywords if each.arg is not None}
        return named if not expr.args and len(named) == len(expr.keywords) else None
    return None
