"""Which code runs only in training, and which values depend on training."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from .definitions import Class, Function
from .facts import Facts, Steps
from .names import Bound, Names
from .nodes import of_self, said_of
from .words import speaks_of_training, trains, words

_SETTERS = frozenset(("train", "eval", "set_training", "set_train", "set_eval"))
_OBJECTS = frozenset(("self", "module", "model", "layer", "net", "cls", "ctx"))
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)


class Training(Names):
    """A source in which tests of training are followed."""

    def __init__(self, text: str, path: str = "<text>") -> None:
        super().__init__(text, path)
        self._facts = Facts(lambda fact: _STEPS[fact[0]](self, fact[1]))  # type: ignore[index]

    def gated(self, node: ast.AST) -> bool:
        """Whether a test of training decides if a node runs.

        The test may be in an `if`, a conditional expression, an `and` or `or`, a `while`, a `match`
        or an earlier statement that leaves the block; or the node is in a function that, by its
        name or by all its calls in this file, runs only in training. In doubt the answer is True.

        Args:
            node: A node.
        """
        return self._facts.holds(("gated", node))

    def depends_on_training(self, expr: ast.AST) -> bool:
        """Whether a value may differ between training and evaluation.

        That is so if it contains a name that suggests training, if it is assigned from one (local
        variables, attributes, properties and functions of this file are followed), or if it comes
        from an unknown function. In doubt the answer is True.

        Args:
            expr: An expression.
        """
        return self._facts.holds(("depends", expr))

    # Each of the following decides a fact: it yields the facts that it needs.

    def _gated(self, node: ast.AST) -> Steps:
        parent = self._scopes.parents.get(node)
        if parent is None:
            return False
        if isinstance(parent, (ast.If, ast.While, ast.IfExp)):
            if node is not parent.test and (yield "depends", parent.test):
                return True
        elif isinstance(parent, ast.BoolOp):
            if (yield "after", node):
                return True
        elif isinstance(parent, ast.Match):
            if (yield "depends", parent.subject):
                return True
        elif isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef)) and (
            trains(parent.name) or (yield "called", parent)
        ):
            return True
        if isinstance(node, ast.stmt) and (yield "left", node):
            return True
        return (yield "gated", parent)

    def _after(self, value: ast.AST) -> Steps:
        """Whether a value of an `and` or `or` comes after one that depends on training."""
        before = self.before(value)
        return before is not None and ((yield "depends", before) or (yield "after", before))

    def _called_gated(self, node: ast.AST) -> Steps:
        """Whether a function is called in this file, and all its calls are gated."""
        function = self._by_node.get(node)
        callers = function.callers if isinstance(function, Function) else []
        for call in callers:
            if not (yield "gated", call.node):
                return False
        return bool(callers)

    def _left(self, node: ast.AST) -> Steps:
        """Whether an earlier statement leaves the block if a test of training says so."""
        before = self.before(node)
        if before is None:
            return False
        ends = isinstance(before, ast.Assert) or before in self._exits
        test = before.test if ends and isinstance(before, (ast.Assert, ast.If)) else None
        if test is not None and (yield "depends", test):
            return True
        return (yield "left", before)

    @cached_property
    def _exits(self) -> set[ast.AST]:
        """The nodes that contain a statement that leaves a block."""
        found = {self._scopes.order[0]}  # the module
        for node in self.inside(self.tree, *_LEAVING):
            above: ast.AST = node
            while above not in found:
                found.add(above)
                above = self._scopes.parents[above]
        return found

    def _depends(self, expr: ast.AST) -> Steps:
        waiting = [expr]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Constant):
                if isinstance(node.value, str) and speaks_of_training(node.value):
                    return True
                continue
            if isinstance(node, ast.Name):
                if speaks_of_training(node.id) or (yield "name", self.bound(node)):
                    return True
                continue
            if isinstance(node, ast.Attribute):
                if speaks_of_training(node.attr):
                    return True
                owner = self._owner(node.value) if isinstance(node.value, ast.Name) else None
                if owner is not None and (yield "attribute", (owner, node.attr)):
                    return True
            elif isinstance(node, ast.Call):
                known = self.local(node.func)
                if isinstance(known, Function):
                    if (yield "depends", known.node):
                        return True
                elif known is None and self._call_speaks(node):
                    return True
            # Without those that are known not to depend on it, for example a nested function.
            waiting += [
                child
                for child in ast.iter_child_nodes(node)
                if self._facts.known(("depends", child)) is not False
            ]
        return False

    def _name_depends(self, bound: Bound) -> Steps:
        for binding in bound.bindings:
            if binding.kind in ("parameter", "import", "def"):
                continue
            if (yield "gated", binding.node):
                return True
            source = _source_of(binding.node)
            if (yield "depends", source):
                return True
        return False

    def _attribute_depends(self, attribute: tuple[Class, str]) -> Steps:
        owner, name = attribute
        method = owner.method(name)
        if method is not None and (yield "depends", method.node):
            return True
        for each in owner.assigned(name):
            if each.function is not None and each.function.name in _SETTERS:
                return True
            # In `__init__` a Module is always in training mode.
            is_made = each.function is not None and each.function.name == "__init__"
            value = each.value
            if is_made and value is not None and "training" in map(of_self, ast.walk(value)):
                continue
            if (yield "gated", each.node) or (value is not None and (yield "depends", value)):
                return True
        return False

    def _call_speaks(self, node: ast.Call) -> bool:
        """Whether a function that is not in this file may use the mode."""
        if isinstance(node.func, ast.Name):
            if not self.bindings(node.func):
                return False  # a builtin
            # It may use the mode of an object that it is given, or a mode of its own.
            given = [each.id for each in node.args if isinstance(each, ast.Name)]
            return not (node.args or node.keywords) or not _OBJECTS.isdisjoint(given)
        # A method of a base in another file may use `self.training`.
        return bool(of_self(node.func)) and not self.assigned(node.func)


_STEPS: Mapping[str, Callable[[Training, Any], Steps]] = {
    "gated": Training._gated,
    "after": Training._after,
    "called": Training._called_gated,
    "left": Training._left,
    "depends": Training._depends,
    "name": Training._name_depends,
    "attribute": Training._attribute_depends,
}


def is_no_rate(test: ast.expr) -> bool:
    """Whether a test is `not rate`, `rate == 0` or `dropout is None`.

    Args:
        test: A test.
    """
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        rate = test.operand
    elif isinstance(test, ast.Compare) and isinstance(test.ops[0], (ast.Eq, ast.LtE, ast.Is)):
        last = test.comparators[0]
        none = None if isinstance(test.ops[0], ast.Is) else 0
        if len(test.ops) > 1 or not isinstance(last, ast.Constant) or last.value != none:
            return False
        rate = test.left
    else:
        return False
    said = words(said_of(rate))
    return said == ("p",) or not {"drop", "dropout", "pdrop"}.isdisjoint(said)


def _source_of(node: ast.AST) -> ast.AST:
    """Returns what the value of a binding comes from, such as the iterable of a loop."""
    if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
        return node.iter
    if isinstance(node, ast.withitem):
        return node.context_expr
    if isinstance(node, (ast.Assign, ast.AugAssign)):
        return node.value
    return node if isinstance(node, ast.expr) else ast.Pass()
