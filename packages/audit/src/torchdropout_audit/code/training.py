"""Which code runs only in training, and which values depend on training."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from .definitions import Class, Function
from .names import Names
from .scopes import COMPREHENSIONS, FunctionNode
from .words import speaks_of_training, trains

_SETTERS = frozenset(("train", "eval", "set_training", "set_train", "set_eval"))
_OBJECTS = frozenset(("self", "module", "model", "layer", "net", "cls", "ctx"))
_EVALUATES_TEXT = frozenset(("builtins.eval", "ast.literal_eval", "pandas.eval"))
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)


class Training(Names):
    """A source in which tests of training are followed."""

    def __init__(self, text: str, path: str = "<text>") -> None:
        super().__init__(text, path)
        self._trains: dict[ast.AST, bool] = {}
        self._gates: dict[ast.AST, bool] = {}

    def gated(self, node: ast.AST) -> bool:
        """Whether a test of training decides if a node runs.

        The test may be in an `if`, a conditional expression, an `and` or `or`, a `while`, a `match`
        or an earlier statement that leaves the block; or the node is in a function that, by its
        name or by all its calls in this file, runs only in training. In doubt the answer is True.

        Args:
            node: A node.
        """
        if node not in self._gates:
            self._gates[node] = False  # for a circle
            self._gates[node] = self._is_gated(node)
        return self._gates[node]

    def _is_gated(self, node: ast.AST) -> bool:
        for parent in self.parents(node):
            if isinstance(parent, (ast.If, ast.While, ast.IfExp)):
                if node is not parent.test and self.depends_on_training(parent.test):
                    return True
            elif isinstance(parent, ast.BoolOp):
                before = parent.values[: _place(parent.values, node)]
                if any(map(self.depends_on_training, before)):
                    return True
            elif isinstance(parent, ast.Match) and self.depends_on_training(parent.subject):
                return True
            elif isinstance(parent, COMPREHENSIONS):
                tests = (test for each in parent.generators for test in each.ifs)
                if any(map(self.depends_on_training, tests)):
                    return True
            if isinstance(node, ast.stmt) and self._is_after_exit(node, parent):
                return True
            if isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef)) and (
                trains(parent.name) or self._is_called_when_gated(parent)
            ):
                return True
            node = parent
        return False

    def _is_called_when_gated(self, node: FunctionNode) -> bool:
        """Whether a function is called in this file, and all its calls are gated."""
        function = self._by_node.get(node)
        callers = function.callers if isinstance(function, Function) else ()
        return bool(callers) and all(self.gated(c.node) for c in callers)

    def _is_after_exit(self, node: ast.stmt, parent: ast.AST) -> bool:
        """Whether an earlier statement leaves the block by a test of training."""
        for name in ("body", "orelse", "finalbody"):
            block = getattr(parent, name, None)
            if isinstance(block, list) and any(each is node for each in block):
                return any(map(self._leaves, block[: _place(block, node)]))
        return False

    def _leaves(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.If):
            is_exit = any(isinstance(each, _LEAVING) for each in ast.walk(node))
            return is_exit and self.depends_on_training(node.test)
        return isinstance(node, ast.Assert) and self.depends_on_training(node.test)

    def depends_on_training(self, expr: ast.AST) -> bool:
        """Whether a value may differ between training and evaluation.

        That is so if it contains a name that suggests training, if it is assigned from one (local
        variables, attributes, properties and functions of this file are followed), or if it comes
        from an unknown function. In doubt the answer is True.

        Args:
            expr: An expression.
        """
        if expr not in self._trains:
            self._trains[expr] = False  # for a circle
            self._trains[expr] = any(map(self._speaks, ast.walk(expr)))
        return self._trains[expr]

    def _speaks(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str) and speaks_of_training(node.value)
        if self._evaluates_text(node):
            return False
        if isinstance(node, ast.Name):
            return speaks_of_training(node.id) or self._name_speaks(node)
        if isinstance(node, ast.Attribute):
            return speaks_of_training(node.attr) or self._attribute_speaks(node)
        if isinstance(node, ast.Call):
            return self._call_speaks(node)
        return False

    def _evaluates_text(self, node: ast.AST) -> bool:
        """Whether a node is Python's `eval`, which has nothing to do with evaluation mode."""
        if isinstance(node, ast.Name) and node.id == "eval":
            return not self.bindings(node)
        return self.name(node) in _EVALUATES_TEXT

    def _name_speaks(self, name: ast.Name) -> bool:
        for binding in self.bindings(name):
            if binding.kind == "parameter" or binding.kind == "import":
                continue
            if binding.kind == "def":
                continue
            if self.gated(binding.node) or self.depends_on_training(_source_of(binding.node)):
                return True
        return False

    def _attribute_speaks(self, node: ast.Attribute) -> bool:
        owner = self._owner(node.value) if isinstance(node.value, ast.Name) else None
        if owner is None:
            return False
        method = owner.method(node.attr)
        if method is not None and self.depends_on_training(method.node):
            return True
        for each in owner.assigned(node.attr):
            if each.function is not None and each.function.name in _SETTERS:
                return True
            # In `__init__` a Module is always in training mode.
            is_made = each.function is not None and each.function.name == "__init__"
            value = each.value
            if is_made and value is not None and any(map(_is_own_mode, ast.walk(value))):
                continue
            if self.gated(each.node) or (value is not None and self.depends_on_training(value)):
                return True
        return False

    def _call_speaks(self, node: ast.Call) -> bool:
        known = self.local(node.func)
        if isinstance(known, Function):
            return self.depends_on_training(known.node)
        if isinstance(known, Class):
            return False
        if isinstance(node.func, ast.Name):
            if not self.bindings(node.func):
                return False  # a builtin
            # It may use the mode of an object that it is given, or a mode of its own.
            given = [each.id for each in node.args if isinstance(each, ast.Name)]
            return not (node.args or node.keywords) or not _OBJECTS.isdisjoint(given)
        # A method of a base in another file may use `self.training`.
        return (
            isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "self"
            and not self.assigned(node.func)
        )


def _is_own_mode(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "training"
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


def _source_of(node: ast.AST) -> ast.AST:
    """Returns what the value of a binding comes from, such as the iterable of a loop."""
    if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
        return node.iter
    if isinstance(node, ast.withitem):
        return node.context_expr
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)):
        return node.value or node
    if isinstance(node, ast.AugAssign):
        return node.value
    return node if isinstance(node, ast.expr) else ast.Pass()


def _place(block: Sequence[ast.AST], node: ast.AST) -> int:
    """Returns the index of a node in a block."""
    return next((i for i, each in enumerate(block) if each is node), len(block))
