"""Sequences of layers in a source."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from functools import cached_property

from .definitions import Call, Class, Function
from .names import Names

_MOST_EXPANDED = 50
_MOST_DICTS = 4  # `**options` of one call


class Layers(Names):
    """A source in which sequences of layers can be read."""

    def __init__(self, text: str, path: str = "<text>") -> None:
        super().__init__(text, path)
        self._sequences: dict[ast.Call, list[ast.expr] | None] = {}
        self._results: dict[Function, ast.expr | None] = {}
        self._expanded: Counter[ast.expr | None] = Counter()

    def sequence(self, call: Call) -> list[ast.expr] | None:
        """Returns the layers of a `Sequential`, in order; None if not all are written down."""
        if call.node not in self._sequences:
            self._sequences[call.node] = self._sequence(call)
        return self._sequences[call.node]

    def _sequence(self, call: Call) -> list[ast.expr] | None:
        if call.node.keywords:
            return None
        if call.name != "torch.nn.Sequential" and not self._fills_sequential(call):
            return None
        arguments = call.node.args
        if len(arguments) == 1 and not isinstance(arguments[0], ast.Starred):
            named = self._ordered(arguments[0])
            if named is not None:
                return named
        layers: list[ast.expr] = []
        for argument in arguments:
            if not isinstance(argument, ast.Starred):
                layers.append(argument)
                continue
            listed = self.listed(argument.value)
            if listed is None or not self._may_expand(listed):
                return None
            layers += listed
        return layers

    def _fills_sequential(self, call: Call) -> bool:
        """Whether a call is `super().__init__(...)` in a class that is a `Sequential`."""
        func = call.node.func
        if not isinstance(func, ast.Attribute) or func.attr != "__init__" or call.cls is None:
            return False
        if not call.node.args or "super" not in ast.dump(func.value):
            return False
        return self.is_sequential(call.cls)

    def is_sequential(self, cls: Class) -> bool:
        """Whether a class is a `Sequential`: the one base that it, or a base here, has elsewhere.

        Args:
            cls: A class of the file.
        """
        bases = (base for one in cls.lineage() for base in one.node.bases)
        foreign = [self.name(each) for each in bases if not isinstance(self.local(each), Class)]
        return foreign == ["torch.nn.Sequential"]

    def _may_expand(self, listed: list[ast.expr]) -> bool:
        """Whether a list has been expanded no more often than the limit allows."""
        first = listed[0] if listed else None
        self._expanded[first] += 1
        return self._expanded[first] <= _MOST_EXPANDED

    def listed(self, expr: ast.expr) -> list[ast.expr] | None:
        """Returns the elements of a list or tuple; None if not written down, or changed later."""
        if isinstance(expr, ast.Name):
            values = self.assigned(expr)
            if len(values) != 1 or values[0] is None or expr.id in self._changed:
                return None
            expr = values[0]
        if isinstance(expr, ast.Call):
            expr = self.returned(expr) or expr
        if not isinstance(expr, (ast.List, ast.Tuple)):
            return None
        return None if any(isinstance(e, ast.Starred) for e in expr.elts) else list(expr.elts)

    def returned(self, call: ast.Call) -> ast.expr | None:
        """Returns what a function of this file returns, if it has only one `return`."""
        function = self.local(call.func)
        if not isinstance(function, Function):
            return None
        if function not in self._results:
            returns = [
                each
                for each in self.inside(function.node, ast.Return)
                if self.function_of(each) is function
            ]
            self._results[function] = returns[0].value if len(returns) == 1 else None
        return self._results[function]

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

    def _ordered(self, expr: ast.expr) -> list[ast.expr] | None:
        if not isinstance(expr, ast.Call) or self.name(expr.func) != "collections.OrderedDict":
            return None
        if len(expr.args) != 1 or expr.keywords:
            return None
        inner = expr.args[0]
        if isinstance(inner, ast.Dict):  # `**others` is a layer of which nothing is known
            return list(inner.values)
        pairs = self.listed(inner)
        if pairs is None:
            return None
        layers = [p.elts[1] for p in pairs if isinstance(p, ast.Tuple) and len(p.elts) == 2]
        return layers if len(layers) == len(pairs) else None

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
