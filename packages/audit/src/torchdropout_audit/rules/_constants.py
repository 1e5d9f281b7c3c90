"""What an expression may be where the file runs it: through names, options, tests and callers."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from ..code import UNKNOWN, Call, Class, Code, Function, words
from ..code.nodes import is_init_of_super, of_self
from ._dropouts import around
from ._rule import kept

_DEEPEST = 6  # names that stand for names, and callers of callers
_MOST_VALUES = 50  # of one name, and calls of one function
_MOST_AROUND = 40  # blocks around a statement
_CONVERTS = frozenset(("float", "int", "bool"))
_COMPARED: Mapping[type[ast.cmpop], Callable[[object, object], object]] = {
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Gt: operator.gt,  # type: ignore[dict-item]
    ast.GtE: operator.ge,  # type: ignore[dict-item]
    ast.Lt: operator.lt,  # type: ignore[dict-item]
    ast.LtE: operator.le,  # type: ignore[dict-item]
}
# Words in the name of a file that has parts for models of other files.
_SHARED = frozenset(("layer", "layers", "module", "modules", "block", "blocks", "common", "utils"))
_OPEN: frozenset[object] = frozenset((UNKNOWN,))
_Found = TypeVar("_Found")
Stack = tuple[tuple[Class, Call], ...]
"""The Modules that are read, innermost first, each with the call that builds it."""


@dataclass(frozen=True)
class ByDefault:
    """A value unless a caller in another file, or an option, says otherwise."""

    value: object


class Constants:
    """Finds the values of expressions.

    A parameter has the values that the calls of the file pass, if a Module of the file is among the
    callers and the file is not a collection of layers. Then other files build the whole model, and
    the model builds its parts.
    """

    def __init__(self, code: Code) -> None:
        self.code = code
        self._depth = 0
        self.depends = False  # whether what was asked since this was reset depends on the stack
        # By the node, or by the node and the stack where it depends on that.
        self._known: dict[Hashable, frozenset[object]] = {}
        self._runs: dict[Hashable, bool] = {}

    def of(self, expr: ast.expr, stack: Stack = ()) -> frozenset[object]:
        """Returns all values that an expression may have; UNKNOWN stands for those not known.

        Args:
            expr: An expression.
            stack: The Modules that are read.
        """
        if isinstance(expr, ast.Constant):
            return frozenset((expr.value,))
        if self._depth > _DEEPEST:
            return _OPEN
        self._depth += 1
        found = self.kept(self._known, expr, stack, _OPEN, lambda: self._of(expr, stack))
        self._depth -= 1
        return found

    def kept(
        self,
        known: dict[Hashable, _Found],
        node: Hashable,
        stack: Stack,
        meanwhile: _Found,
        find: Callable[[], _Found],
    ) -> _Found:
        """Returns what is found of a node, once for all stacks if it does not depend on them.

        It is `meanwhile` as long as it is being found, so that a cycle ends.
        """
        if node in known:
            return known[node]
        if (node, stack) in known:
            self.depends = True
            return known[node, stack]
        known[node] = meanwhile
        before, self.depends = self.depends, False
        found = find()
        if self.depends:
            del known[node]
        known[(node, stack) if self.depends else node] = found
        self.depends |= before
        return found

    def is_always(self, expr: object, values: Iterable[object], stack: Stack = ()) -> bool:
        """Whether an expression is surely one of some values."""
        return isinstance(expr, ast.expr) and self.of(expr, stack) <= frozenset(values)

    def truth(self, test: ast.expr, stack: Stack = ()) -> bool | None:
        """Returns whether a test holds; None if it is not known."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            inner = self.truth(test.operand, stack)
            return None if inner is None else not inner
        if isinstance(test, ast.BoolOp):
            ends = isinstance(test.op, ast.Or)
            found = {self.truth(each, stack) for each in test.values}
            return ends if ends in found else None if None in found else not ends
        values = self.of(test, stack)
        truths = {None if _is_open(each) else bool(each) for each in values}
        return truths.pop() if len(truths) == 1 else None

    def runs(self, node: ast.AST, stack: Stack = ()) -> bool:
        """Whether the tests around a node, in its function, may let it run."""
        return self.kept(self._runs, node, stack, True, lambda: self._may_run(node, stack))

    def _may_run(self, node: ast.AST, stack: Stack) -> bool:
        for parent in islice(self.code.parents(node), _MOST_AROUND):
            if isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                break
            if isinstance(parent, ast.If):
                holds = self.truth(parent.test, stack)
                other = "body" if holds is False else "orelse"
                if holds is not None and self.code.is_in(node, parent, other):
                    return False
            node = parent
        return True

    def _of(self, expr: ast.expr, stack: Stack) -> frozenset[object]:
        if isinstance(expr, ast.IfExp):
            holds = self.truth(expr.test, stack)
            sides = [expr.body] * (holds is not False) + [expr.orelse] * (holds is not True)
            return self._any(sides, stack)
        if isinstance(expr, ast.Call):
            func = expr.func
            if isinstance(func, ast.Name) and func.id in _CONVERTS and len(expr.args) == 1:
                return self.of(expr.args[0], stack)
        elif isinstance(expr, ast.Compare):
            return self._compared(expr, stack)
        elif isinstance(expr, ast.Attribute):
            return self._attribute(expr, stack)
        elif isinstance(expr, ast.Name):
            holders = around(self.code, self.code.function_of(expr))
            holder = next((each for each in holders if expr.id in each.names), None)
            if holder is not None and len(self.code.bindings(expr)) == 1:
                return self._parameter(holder, expr.id, stack)
            return self._any(self.code.assigned(expr), stack)
        return frozenset((self.code.value(expr),))

    def _any(self, values: Iterable[object], stack: Stack) -> frozenset[object]:
        found: frozenset[object] = frozenset()
        for place, each in enumerate(values):
            if not isinstance(each, ast.expr) or place >= _MOST_VALUES:
                return _OPEN
            found |= self.of(each, stack)
        return found or _OPEN

    def _attribute(self, expr: ast.Attribute, stack: Stack) -> frozenset[object]:
        cls = self.code.class_of(expr)
        if cls is None or not of_self(expr):
            return self._any(self.code.assigned(expr), stack)
        given = cls.assigned(expr.attr)[: _MOST_VALUES + 1]
        return self._any((g.value for g in given if self.runs(g.node, stack)), stack)

    def _compared(self, expr: ast.Compare, stack: Stack) -> frozenset[object]:
        compare = _COMPARED.get(type(expr.ops[0]))
        lefts = self.of(expr.left, stack)
        rights = self.of(expr.comparators[0], stack)
        if compare is None or len(expr.ops) > 1 or any(map(_is_open, lefts | rights)):
            return _OPEN
        try:
            return frozenset(compare(left, right) for left in lefts for right in rights)
        except TypeError:
            return _OPEN

    def _parameter(self, function: Function, name: str, stack: Stack) -> frozenset[object]:
        """Returns what the calls of the file give a parameter, and its default."""
        is_init = function.name == "__init__"
        self.depends |= is_init
        here = [call for cls, call in stack if cls is function.cls and is_init]
        calls = here[:1] or calls_of(self.code).get(function, [])
        found: frozenset[object] = frozenset()
        if calls:
            found = self._any((function.given(each, name) for each in calls), stack)
        if not calls or (not here and self._is_open(function, calls)):
            default = function.defaults.get(name)
            found |= _OPEN if default is None else {ByDefault(self.code.value(default))}
        return found

    def _is_open(self, function: Function, calls: Iterable[Call]) -> bool:
        """Whether a function, or a class, may be called in another way than in the file."""
        made = function.cls if function.name == "__init__" else None
        target = function if made is None else made
        is_part = any(call.cls is not None and call.cls.is_module for call in calls)
        is_shared = not _SHARED.isdisjoint(words(self.code.place.name))
        return not is_part or is_shared or bool(target.node.decorator_list)


def _is_open(value: object) -> bool:
    return value is UNKNOWN or isinstance(value, ByDefault)


@kept
def constants(code: Code) -> Constants:
    """Returns what finds the values of the expressions of a file.

    Args:
        code: The file.
    """
    return Constants(code)


@kept
def calls_of(code: Code) -> Mapping[Function, list[Call]]:
    """Returns the calls of each function; of a constructor, those that build its class.

    Args:
        code: The file.
    """
    found = {f: [*f.callers] for f in code.functions if f.name != "__init__"}
    for call in code.calls:
        func = call.node.func
        target = code.local(func) if call.name is None else None
        if isinstance(target, Class):
            init = target.method("__init__")
        elif is_init_of_super(func) and call.cls is not None:
            above = call.cls.lineage()[1:]
            init = next((c.methods["__init__"] for c in above if "__init__" in c.methods), None)
        else:
            continue
        if init is not None:
            found.setdefault(init, []).append(call)
    return found
