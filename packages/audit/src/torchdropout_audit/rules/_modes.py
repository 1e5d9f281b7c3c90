"""What code does to the modes of its models, through the functions of its file that it calls."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from ..code import Code, Function, argument_of
from ..code.nodes import dotted, said_of
from ._dropouts import unmoved
from ._rule import kept

LOOPS = (ast.For, ast.AsyncFor, ast.While)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_DEEPEST = 4  # functions that call one another
_MOST_MODELS = 30  # that one function puts in eval


@dataclass
class Inside:
    """What a piece of code does, including the functions of the file that it calls.

    Attributes:
        evals: The models that it puts in eval mode, by its names for them, and where it does.
        may_restore: Whether it may put a model in training mode.
        backward: Whether it computes gradients, or makes a step.
        steps: Whether an optimizer makes a step.
    """

    evals: dict[str, ast.Call] = field(default_factory=dict)
    may_restore: bool = False
    backward: bool = False
    steps: bool = False


class Modes:
    """What each piece of code of a file does.

    Args:
        code: The file.
    """

    def __init__(self, code: Code) -> None:
        self.code = code
        self._read: dict[ast.AST, Inside] = {}
        self._left: dict[Function, dict[str, ast.Call]] = {}

    def left_in_eval(self, node: ast.Call) -> Sequence[tuple[str, ast.Call]]:
        """Returns the models that a call leaves in eval mode, by their names at the call, in order.

        Each comes with the call that puts it in that mode, which may be in a function.
        """
        model = self.put_in_eval(node)
        if model:
            return [(model, node)]
        function = self.runs(node)
        if function is None:
            return ()
        if function not in self._left:
            inside = self.inside(function.node)
            self._left[function] = {} if inside.may_restore else inside.evals
        found = self._outside(self._left[function], function, node)
        return sorted(found.items(), key=itemgetter(0))

    def put_in_eval(self, node: ast.Call) -> str:
        """Returns the model that a call puts in eval mode by itself; "" if it does not."""
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        if not given:
            return self.receiver(node, "eval")
        is_off = len(given) == 1 and self.code.value(given[0]) is False
        return self.receiver(node, "train") if is_off else ""

    def receiver(self, node: ast.Call, method: str) -> str:
        """Returns `model` for `model.eval()`, `self.net` for `self.net.train()`; else "".

        A method's own name for an attribute, as after `net = self.net`, is that of the attribute.
        """
        func = node.func
        if not isinstance(func, ast.Attribute) or func.attr != method:
            return ""
        expr = unmoved(func.value)
        only = self.only_value(expr)
        held = "" if only is None else dotted(only)
        return held if held.startswith("self.") else dotted(expr)

    def only_value(self, expr: ast.expr) -> ast.expr | None:
        """Returns what a name is given, if that is one thing."""
        values = self.code.assigned(expr) if isinstance(expr, ast.Name) else []
        return unmoved(values[0]) if len(values) == 1 and values[0] is not None else None

    def runs(self, node: ast.Call) -> Function | None:
        """Returns the function of the file that a call runs."""
        found = self.code.local(node.func)
        return found if isinstance(found, Function) else None

    def outside(self, model: str, function: Function, node: ast.Call) -> str:
        """Returns the name, at a call of a function, of what the function calls `model`."""
        root, dot, rest = model.partition(".")
        if root == "self" and function.cls is not None:
            holder = dotted(node.func.value) if isinstance(node.func, ast.Attribute) else ""
            return holder and holder + dot + rest
        if root not in function.names:
            return ""
        given = argument_of(node, root, function.places.get(root))
        outer = dotted(given) if isinstance(given, ast.expr) else ""
        return outer and outer + dot + rest

    def _outside(
        self, models: dict[str, ast.Call], function: Function, node: ast.Call
    ) -> dict[str, ast.Call]:
        named = ((self.outside(each, function, node), place) for each, place in models.items())
        return {name: place for name, place in named if name}

    def inside(self, node: ast.AST, depth: int = 0) -> Inside:
        """Returns what a loop or function does, including the functions that it calls."""
        if node in self._read:
            return self._read[node]
        found = Inside()
        if depth > _DEEPEST:
            return found
        self._read[node] = found  # a function that calls itself adds nothing
        waiting = [*ast.iter_child_nodes(node)][::-1]
        while waiting:
            each = waiting.pop()
            if isinstance(each, (*FUNCTIONS, ast.ClassDef)):
                continue  # defining it does not run it
            waiting += [*ast.iter_child_nodes(each)][::-1]
            if isinstance(each, ast.Call):
                self._add(each, found, depth)
        return found

    def _add(self, node: ast.Call, found: Inside, depth: int) -> None:
        method = said_of(node.func) if isinstance(node.func, ast.Attribute) else ""
        model = self.put_in_eval(node) if method in ("eval", "train") else ""
        if model:
            _keep(found.evals, {model: node})
            return
        found.steps |= method == "step" and _says_optimizer(self.code, node)
        found.backward |= method == "backward" or found.steps
        function = self.runs(node)
        if method == "train" or function is None:
            found.may_restore |= "train" in said_of(node.func).lower().replace("pretrain", "")
            return
        inner = self.inside(function.node, depth + 1)
        _keep(found.evals, self._outside(inner.evals, function, node))
        found.may_restore |= inner.may_restore
        found.backward |= inner.backward
        found.steps |= inner.steps


def _keep(known: dict[str, ast.Call], more: dict[str, ast.Call]) -> None:
    for name, place in more.items():
        if len(known) < _MOST_MODELS:
            known.setdefault(name, place)


@kept
def modes(code: Code) -> Modes:
    """Returns what each piece of code of a file does."""
    return Modes(code)


def is_part(one: str, other: str) -> bool:
    """Whether one of two names is the other, or an attribute of it."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _says_optimizer(code: Code, step: ast.Call) -> bool:
    """Whether a `.step` is that of an optimizer: by the names that it is reached by."""
    text = code.text_of(step.func).lower()
    return "opt" in text or "scaler" in text
