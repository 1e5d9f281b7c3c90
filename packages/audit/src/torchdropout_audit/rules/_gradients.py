"""Which parameters and inputs of a loop have a gradient."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cached_property

from ..code import Code
from ._models import Models, dotted, last

_NO_GRADIENT = ("no_grad", "inference_mode")
_DETACHED = ("detach", "data")


@dataclass
class _Settings:
    """What the calls of one place set for the parameters of a model.

    Attributes:
        is_frozen: Whether one sets that they need no gradient.
        thawed: What contains the calls that set that they need one.
    """

    is_frozen: bool = False
    thawed: set[ast.AST] = field(default_factory=set)


class Gradients:
    """What the calls of a file set.

    Args:
        code: The file.
        models: Its models.
    """

    def __init__(self, code: Code, models: Models) -> None:
        self.code = code
        self.models = models
        self._inputs: dict[ast.AST, set[str]] = {}
        self._frozen: dict[ast.AST, bool | None] = {}
        self._settings_of: dict[tuple[str, object], _Settings] = {}

    def is_frozen(self, model: str, loop: ast.AST) -> bool:
        """Whether the parameters of a model need no gradient in a loop.

        Langevin sampling and attacks take the gradient of the input; the network stays as it is.
        """
        holder: object = self.code.function_of(loop)
        if model.startswith("self."):
            # What `__init__` does with `self.net` holds in all methods.
            holder = self.code.class_of(loop) or holder
        known = self._set_for(model, holder)
        return known.is_frozen and loop not in known.thawed  # not frozen in turn, as in a GAN

    def _set_for(self, model: str, holder: object) -> _Settings:
        """Returns what the calls of a function, or of the methods of a class, set."""
        key = (model, holder)
        if key not in self._settings_of:
            self._settings_of[key] = found = _Settings()
            for node in self._settings.get(key, ()):
                needs = self._needs_gradient(node, model)
                if needs:
                    found.thawed.update(self.code.parents(node))
                found.is_frozen |= needs is False
        return self._settings_of[key]

    @cached_property
    def _settings(self) -> dict[tuple[str, object], list[ast.Call]]:
        """The calls that may set whether parameters need a gradient, by model and place."""
        said = ("parameters", "grad", "freeze")
        found: dict[tuple[str, object], list[ast.Call]] = {}
        for call in self.code.calls:
            node = call.node
            method = last(node.func)
            if not any(word in method.lower() for word in said):
                continue
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            for model in {self.models.receiver(node, method), *map(dotted, given)} - {""}:
                for holder in {call.function, call.cls} if call.cls else {call.function}:
                    found.setdefault((model, holder), []).append(node)
        return found

    def _needs_gradient(self, node: ast.Call, model: str) -> bool | None:
        """Returns what a call sets for the parameters of a model; None if it sets nothing."""
        if self.models.receiver(node, "parameters") == model:
            return self.freezes(node)
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        if self.models.receiver(node, "requires_grad_") == model:
            return not given or self.code.value(given[0]) is not False
        if model in (
            self.models.receiver(node, "freeze"),
            self.models.receiver(node, "unfreeze"),
        ):
            return last(node.func) == "unfreeze"
        name = last(node.func).lower()
        if given and dotted(given[0]) == model and ("grad" in name or "freeze" in name):
            values = [self.code.value(each) for each in given[1:]]
            if "freeze" in name:
                return name.startswith("un") != (False in values)
            return False not in values if values else None
        return None

    def freezes(self, node: ast.Call) -> bool | None:
        """Returns what a loop over `model.parameters()` sets; None if it is not such a loop."""
        for parent in self.code.parents(node):
            if isinstance(parent, (ast.For, ast.ListComp, ast.GeneratorExp)):
                if parent not in self._frozen:
                    self._frozen[parent] = self._sets(parent)
                return self._frozen[parent]
            if isinstance(parent, ast.stmt):
                return None
        return None

    def _sets(self, loop: ast.AST) -> bool | None:
        """Returns what a loop sets `requires_grad` to; None if it does not."""
        for each in self.code.inside(loop, ast.Assign, ast.Call):
            if isinstance(each, ast.Assign):
                if last(each.targets[0]) == "requires_grad":
                    return self.code.value(each.value) is not False
            elif last(each.func) == "requires_grad_":
                given = [*each.args, *(keyword.value for keyword in each.keywords)]
                return not given or self.code.value(given[0]) is not False
        return None

    def of_input(self, loop: ast.AST) -> bool:
        """Whether a loop reads the gradient of a tensor for which it was asked: `x.grad`."""
        function = self.code.function_of(loop)
        scope = self.code.tree if function is None else function.node
        if scope not in self._inputs:
            self._inputs[scope] = self._needing(scope)
        needing = self._inputs[scope]
        return bool(needing) and any(
            node.attr == "grad" and dotted(node.value) in needing
            for node in self.code.inside(loop, ast.Attribute)
        )

    def _needing(self, scope: ast.AST) -> set[str]:
        """Returns the names of the tensors for which a function asks for a gradient."""
        needing = {
            dotted(node.func.value)
            for node in self.code.inside(scope, ast.Call)
            if isinstance(node.func, ast.Attribute)
            and node.func.attr in ("requires_grad_", "retain_grad")
        }
        for node in self.code.inside(scope, ast.Assign):
            target = node.targets[0]
            if isinstance(target, ast.Attribute) and target.attr == "requires_grad":
                needing.add(dotted(target.value))
            elif isinstance(node.value, ast.Call) and (
                last(node.value) == "requires_grad_"
                or any(keyword.arg == "requires_grad" for keyword in node.value.keywords)
            ):
                needing.add(dotted(target))
        return needing - {""}

    def is_without(self, node: ast.AST) -> bool:
        """Whether a call has no gradients, or its result has none."""
        return node in self._without_gradient

    @cached_property
    def _without_gradient(self) -> frozenset[ast.AST]:
        """The calls in a block without gradients, and those whose result is detached."""
        inside, tree = self.code.inside, self.code.tree
        found = {
            node.value
            for node in inside(tree, ast.Attribute)
            if node.attr in _DETACHED and isinstance(node.value, ast.Call)
        }
        off: list[tuple[ast.AST, ast.AST | None]] = [  # each with the function that it is in
            (node, self._definition(node))
            for node in inside(tree, ast.With, ast.AsyncWith)
            if any(self._turns_off(each.context_expr) for each in node.items)
        ]
        off += [
            (node, node)
            for node in inside(tree, ast.FunctionDef, ast.AsyncFunctionDef)
            if any(last(each) in _NO_GRADIENT for each in node.decorator_list)
        ]
        for node, definition in off:
            calls = (each for each in inside(node, ast.Call) if each not in found)
            found.update(each for each in calls if self._definition(each) is definition)
        return frozenset(found)

    def _definition(self, node: ast.AST) -> ast.AST | None:
        defs = (ast.FunctionDef, ast.AsyncFunctionDef)
        return next((each for each in self.code.parents(node) if isinstance(each, defs)), None)

    def _turns_off(self, context: ast.expr) -> bool:
        """Whether a block has no gradients: `no_grad()`, `set_grad_enabled(False)`."""
        is_set = isinstance(context, ast.Call) and last(context) == "set_grad_enabled"
        return last(context) in _NO_GRADIENT or (is_set and self.models.is_off(context))  # type: ignore[arg-type]
