"""What code does to the modes of its models, through the functions that it calls."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ..code import Class, Code, Found, Function, words
from ._abroad import called
from ._gradients import Gradients
from ._models import FUNCTIONS, LOOPS, Models, dotted, last, unmoved
from ._rule import kept

# Words of functions that give data or describe a model: `get_train_examples()`.
_GIVES = frozenset(
    ("get", "load", "read", "next", "make", "create", "build", "fetch", "is", "count")
)
_DATA = frozenset(
    ("data", "dataset", "datasets", "dataloader", "dataloaders", "loader", "loaders", "examples")
    + ("features", "samples", "split", "dir", "path", "file", "iter", "iterator", "batch", "set")
    + ("params", "parameters", "labels")
)
_DEEPEST = 4
_MOST_MODELS = 100  # that one function puts in eval
_MOST_PARTS = 200  # of what builds one object
_SIZES = ("shape", "size", "dim")


@dataclass(frozen=True)
class Restored:
    """What is put in training mode.

    Attributes:
        is_part: Whether it is not put in training mode itself, but a model that is built of it.
        built_of: The names that it is built of, if it is built in the same function; else None.
        branch: Where it is, if only after a better result than all before; else None.
    """

    is_part: bool = False
    built_of: frozenset[str] | None = None
    branch: ast.If | None = None


@dataclass
class Inside:
    """What a piece of code does, including the functions that it calls and that are read.

    Attributes:
        evals: The models that it puts in eval mode, by its names for them, and where it does.
        restored: What it puts in training mode, by its names.
        is_open: Whether it may put something else in training mode, too.
        backward: Whether it computes gradients, or makes a step.
        steps: Whether an optimizer makes a step.
        applies: The models, or methods, that it calls with gradients.
    """

    evals: dict[str, ast.Call] = field(default_factory=dict)
    applies: set[str] = field(default_factory=set)
    restored: dict[str, Restored] = field(default_factory=dict)
    is_open: bool = False
    backward: bool = False
    steps: bool = False

    @property
    def restores(self) -> bool:
        """Whether it may put something in training mode."""
        return self.is_open or bool(self.restored)


class Modes:
    """What each piece of code of a file does.

    Args:
        code: The file.
        is_wide: Whether functions of other files are followed, too.
    """

    def __init__(self, code: Code, is_wide: bool) -> None:
        self.code = code
        self.gradients = _gradients(code)
        self.models = self.gradients.models
        self._is_wide = is_wide
        self._calls = {call.node: call for call in code.calls}
        self._read: dict[ast.AST, Inside] = {}
        self._left: dict[ast.AST, dict[str, ast.Call]] = {}

    def left_in_eval(self, node: ast.Call) -> dict[str, ast.Call]:
        """Returns the models that a call leaves in eval mode, by their names at the call.

        Each comes with the call that puts it in that mode, which may be in a function.
        """
        model = self.models.put_in_eval(node)
        if model:
            return {model: node}
        ran = self.runs(node)
        if ran is None:
            return {}
        there, function = ran
        return self.models.outside_all(there.left_by(function), function, node)

    def left_by(self, function: Function) -> dict[str, ast.Call]:
        """Returns the models that a function of the file leaves in eval mode, by its names."""
        if function.node not in self._left:
            inside = self.inside(function.node)
            self._left[function.node] = {
                model: place
                for model, place in inside.evals.items()
                if not self._may_restore(model, inside)
            }
        return self._left[function.node]

    def runs(self, node: ast.Call) -> tuple[Modes, Function] | None:
        """Returns the function that a call runs, and what the code of its file does."""
        function = self.models.function(node)
        if function is not None:
            return self, function
        found = self._elsewhere(node) if self._is_wide else None
        if found is None or not isinstance(found.target, Function):
            return None
        return modes(found.code, True), found.target

    def _elsewhere(self, node: ast.Call) -> Found | None:
        """Returns the function of another file that a call runs, of an object that is built."""
        call = self._calls.get(node)
        found = None if call is None else called(self.code, call)
        if found is not None or not isinstance(node.func, ast.Attribute):
            return found
        values = self.code.assigned(node.func.value)
        only = unmoved(values[0]) if len(values) == 1 and values[0] is not None else None
        made = self._calls.get(only) if isinstance(only, ast.Call) else None
        there = None if made is None else called(self.code, made)
        if there is None or not isinstance(there.target, Class):
            return None
        return Found(there.code, there.target.method(node.func.attr))

    def may_restore(self, model: str, loop: ast.AST, node: ast.AST) -> bool:
        """Whether a loop may put a model back that a node in it leaves in eval mode.

        It does not if it does so to others, or only if the model has become better.
        """
        return self._may_restore(model, self.inside(loop), frozenset(self.code.parents(node)))

    def is_back_if_better(self, model: str, loop: ast.AST) -> bool:
        """Whether a loop puts a model back after the best result alone."""
        restored = self.inside(loop).restored.get(model)
        return restored is not None and restored.branch is not None

    def _may_restore(
        self, model: str, inside: Inside, around: frozenset[ast.AST] | None = None
    ) -> bool:
        if inside.is_open or model not in inside.evals:
            return inside.restores
        return any(
            # What is not known to be a model may hold this one.
            not (restored.is_part or each in inside.evals)
            or f"{each}.".startswith(f"{model}.")
            or f"{model}.".startswith(f"{each}.")
            or frozenset((each, model)) in self._aliases
            for each, restored in inside.restored.items()
            if around is None or restored.branch is None or restored.branch in around
        )

    @cached_property
    def _aliases(self) -> frozenset[frozenset[str]]:
        """Pairs of names, one of which is built from the other: `whole = DataParallel(model)`."""
        return frozenset(
            frozenset((dotted(target), dotted(each)))
            for node in self.code.inside(self.code.tree, ast.Assign)
            for target in node.targets[:1]
            for each in self.code.inside(node.value, ast.Name, ast.Attribute)
        )

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
        func = node.func
        method = func.attr if isinstance(func, ast.Attribute) else ""
        if method == "eval" or (method == "train" and self.models.is_off(node)):
            _keep(found.evals, self.left_in_eval(node))
        elif method == "train":
            model = self.models.receiver(node, "train")
            found.is_open |= not model or len(found.restored) >= _MOST_MODELS
            built = self._built_of(unmoved(node.func.value))  # type: ignore[attr-defined]
            _restore(found, model, Restored(built_of=built, branch=self._if_better(node)))
        elif method == "backward":
            found.backward = True
        elif method == "step" and _says_optimizer(func):
            found.backward = found.steps = True
        ran = self.runs(node)
        is_trained = len(found.applies) < _MOST_MODELS and not self.gradients.is_without(node)
        if ran is None and is_trained:
            found.applies.add(dotted(func))
        if ran is not None:
            there, function = ran
            inner = there.inside(function.node, depth + 1)
            self._add_restored(inner, found, function, node)
            found.backward |= inner.backward
            found.steps |= inner.steps
            _keep(found.evals, self.models.outside_all(inner.evals, function, node))
            if is_trained:
                outer = (self.models.outside(each, function, node) for each in inner.applies)
                found.applies |= {each for each in outer if each}
        elif method != "train":
            self._add_unknown(func, found, depth)

    def _add_unknown(self, func: ast.expr, found: Inside, depth: int) -> None:
        """Adds what a function that is not known may do, by its name."""
        may_restore = _may_restore(func)
        is_method = isinstance(func, ast.Attribute)
        if not (may_restore and is_method and self._is_wide and self.code.project is not None):
            found.is_open |= may_restore
            return
        # A method of an object that is not known is one of those of its name.
        inner = [
            modes(each.code, True).inside(each.target.node, depth + 1)
            for each in self.code.project.named(last(func))
            if isinstance(each.target, Function)
        ]
        found.is_open |= not inner or any(each.restores for each in inner)
        found.backward |= bool(inner) and all(each.backward for each in inner)

    def _add_restored(
        self, inner: Inside, found: Inside, function: Function, node: ast.Call
    ) -> None:
        """Adds what a function that is called puts in training mode."""
        found.is_open |= inner.is_open or len(found.restored) >= _MOST_MODELS
        for each, restored in [*inner.restored.items()]:  # it may call itself
            model = self.models.outside(each, function, node)
            if model:
                _restore(found, model, Restored(restored.is_part))
            elif restored.built_of is None or each.partition(".")[0] in function.names:
                found.is_open = True
            else:  # it is another model than those of the caller, unless it holds one of them
                for part in restored.built_of:
                    held = self.models.outside(part, function, node)
                    if held:
                        _restore(found, held, Restored(is_part=True))

    def _if_better(self, node: ast.AST) -> ast.If | None:
        """Returns the branch around a node that is taken after the best result: `loss < best`."""
        for parent in self.code.parents(node):
            if isinstance(parent, ast.If) and not parent.orelse and _asks_for_best(parent.test):
                return parent
            if isinstance(parent, (*LOOPS, *FUNCTIONS)):
                return None
        return None

    def _built_of(self, expr: ast.expr) -> frozenset[str] | None:
        """Returns the names that the object of a name is built of; None if that is not known."""
        made = self.models.only_value(expr)
        if not isinstance(made, ast.Call) or not last(made)[:1].isupper():
            return None
        found: set[str] = set()
        waiting: list[ast.AST] = [made]
        for _ in range(_MOST_PARTS):
            if not waiting:
                return frozenset(found)
            node = waiting.pop()
            if isinstance(node, ast.Attribute) and node.attr in _SIZES:
                continue
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                waiting += [*node.args, *node.keywords]  # it does not hold its class
                continue
            waiting += ast.iter_child_nodes(node)
            if isinstance(node, (ast.Name, ast.Attribute)) and dotted(node) not in found:
                found.add(dotted(node))
                only = self.models.only_value(node)
                if isinstance(only, (ast.Call, ast.Name, ast.Attribute)):
                    waiting.append(only)
        return None


@kept
def _gradients(code: Code) -> Gradients:
    return Gradients(code, Models(code))


@kept
def modes(code: Code, is_wide: bool) -> Modes:
    """Returns what each piece of code of a file does.

    Args:
        code: The file.
        is_wide: Whether functions of other files are followed, too.
    """
    return Modes(code, is_wide)


def _keep(known: dict[str, ast.Call], more: Mapping[str, ast.Call]) -> None:
    for name, place in more.items():
        if len(known) < _MOST_MODELS:
            known.setdefault(name, place)


def _restore(found: Inside, name: str, restored: Restored) -> None:
    before = found.restored.get(name, restored)
    found.restored[name] = Restored(
        before.is_part and restored.is_part,
        before.built_of if before.built_of == restored.built_of else None,
        before.branch if before.branch is restored.branch else None,
    )


def _asks_for_best(test: ast.expr) -> bool:
    """Whether a test compares a number with the best of those before."""
    return isinstance(test, ast.Compare) and any(
        "best" in words(last(each)) for each in (test.left, *test.comparators)
    )


def _may_restore(func: ast.expr) -> bool:
    """Whether a function that is not in this file has a name that suggests training."""
    name = last(func)
    if "train" not in name.lower().replace("pretrain", "").replace("trainable", ""):
        return False
    said = words(name)
    return said[-1] not in _DATA - {"iter", "batch", "data", "set", "samples"} and not (
        said[0] in _GIVES and not _DATA.isdisjoint(said)
    )


def _says_optimizer(func: ast.expr) -> bool:
    """Whether a `.step` is that of an optimizer: by the names that it is reached by."""
    said = []
    while isinstance(func, (ast.Attribute, ast.Call, ast.Subscript)):
        said.append(last(func))
        func = func.func if isinstance(func, ast.Call) else func.value
    text = " ".join([*said, last(func)]).lower()
    return "opt" in text or "scaler" in text
