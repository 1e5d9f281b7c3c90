"""A source as the rules see it: calls, classes and functions, with names resolved."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from .definitions import Assigned, Call, Class, Function
from .scopes import FunctionNode, pairs
from .training import Training
from .words import is_pretrained

_STEPS = frozenset(
    ("forward", "__call__", "training_step", "validation_step", "test_step", "predict_step")
)
_NO_MODULES = (
    "torch.autograd.", "torch.utils.", "torch.distributions.", "torch.optim.",
    "flax.", "jax.", "haiku.", "equinox.", "keras.", "tensorflow.", "tf_keras.", "paddle.",
    "mxnet.", "chainer.", "mindspore.", "mlx.", "tinygrad.", "jittor.", "oneflow.",
    "enum.", "collections.", "numpy.", "sklearn.", "unittest.", "triton.",
)  # fmt: skip
_MOST_EXPANDED = 50  # values of a dict
_MODULE_ROOTS = frozenset(
    ("LightningModule", "MessagePassing", "ModelMixin", "DataParallel", "ScriptModule")
    + ("GraphModule",)
)


class Code(Training):
    """A parsed source.

    Attributes:
        path: The file's path.
        text: The source.
        tree: Its syntax tree.
        calls: Every call, in the order of the source.
        classes: Every class statement.
        functions: Every `def`, including methods and nested functions.
        project: The files around it; None if it is a text alone.
    """

    def __init__(self, text: str, path: str = "<text>", project: Project | None = None) -> None:
        """Parses and resolves.

        Args:
            text: Python source.
            path: Where it is from.
            project: The files around it.

        Raises:
            SyntaxError: It is not Python.
            RecursionError: It is nested too deep for Python's parser.
            MemoryError: The same.
            ValueError: It holds a NUL, on some versions of Python.
        """
        super().__init__(text, path)
        self.project = project
        self.calls: list[Call] = []
        self._collect()
        self._derive()
        self._link()

    def close(self) -> None:
        """Cuts the circles in it, so that its memory is free at once; it is not used after that."""
        for function in self.functions:
            function.callers.clear()
        for cls in self.classes:
            cls.forget()
            cls.methods.clear()
            cls.attributes.clear()
        self.__dict__.clear()

    def _collect(self) -> None:
        for node in self.inside(self.tree, ast.ClassDef):
            known = Class(node, node.name)
            self.classes.append(known)
            self._by_node[node] = known
        definition: FunctionNode
        for definition in self.inside(self.tree, ast.FunctionDef, ast.AsyncFunctionDef):
            holder = self._by_node.get(self._scopes.scopes[definition].node)
            cls = holder if isinstance(holder, Class) else None
            given = definition.args
            parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs]
            defaults = _defaults(definition)
            function = Function(definition, definition.name, cls, parameters, defaults)
            self.functions.append(function)
            self._by_node[definition] = function
            if cls is not None:
                cls.methods.setdefault(definition.name, function)
        statement: ast.Assign | ast.AnnAssign | ast.AugAssign
        for statement in self.inside(self.tree, ast.Assign, ast.AnnAssign, ast.AugAssign):
            self._collect_attributes(statement)

    def _collect_attributes(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> None:
        if isinstance(node, ast.AnnAssign) and node.value is None:
            return
        value = None if isinstance(node, ast.AugAssign) else node.value
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            for one, given in pairs(target, value):
                self._collect_attribute(node, one, given)

    def _collect_attribute(self, node: ast.stmt, target: ast.expr, value: ast.expr | None) -> None:
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            cls = self.class_of(target) if target.value.id in ("self", "cls") else None
            name = target.attr
        elif isinstance(target, ast.Name):
            holder = self._by_node.get(self._scopes.scopes[target].node)
            cls = holder if isinstance(holder, Class) else None
            name = target.id
        else:
            return
        if cls is not None:
            given = Assigned(node, value, self.function_of(node))
            cls.attributes.setdefault(name, []).append(given)

    def _derive(self) -> None:
        """Decides which classes are Modules, by their bases in this file, known or unknown."""
        for cls in self.classes:
            found = [self.local(base) for base in cls.node.bases]
            cls.bases = tuple(base for base in found if isinstance(base, Class) and base is not cls)
        self._locals.clear()  # what was found before the bases were known
        for cls in self.classes:
            cls.forget()
        below: dict[Class, list[Class]] = {}
        for cls in self.classes:
            for base in cls.bases:
                below.setdefault(base, []).append(cls)
        surely, may_be, never = [], [], []
        for cls in self.classes:
            foreign = [base for base in cls.node.bases if not isinstance(self.local(base), Class)]
            names = [self.name(base) for base in foreign]
            if any(map(_is_module_name, names)):
                surely.append(cls)
            if any(map(_is_open, foreign, names)):
                may_be.append(cls)
            if any(map(_is_no_module, names)):
                never.append(cls)
        is_sure, is_open, is_none = (
            _with_all_below(each, below) for each in (surely, may_be, never)
        )
        for cls in self.classes:
            cls.is_surely_module = cls in is_sure
            cls.is_module = cls.is_surely_module or (
                cls in is_open and cls not in is_none and cls.method("forward") is not None
            )

    def _link(self) -> None:
        for node in self.inside(self.tree, ast.Call):
            holders = (self.function_of(node), self.class_of(node))
            call = Call(node, self.name(node.func), *holders, self.spread(node))
            self.calls.append(call)
            called = self._called(node.func)
            if called is not None:
                called.callers.append(call)
        waiting = [
            f for f in self.functions if f.cls is not None and f.cls.is_module and f.name in _STEPS
        ]
        inner: dict[Function, list[Function]] = {}
        for function in self.functions:
            for call in function.callers:
                if call.function is not None:
                    inner.setdefault(call.function, []).append(function)
        while waiting:
            function = waiting.pop()
            if not function.is_step:
                function.is_step = True
                waiting += inner.get(function, [])

    def _called(self, expr: ast.expr) -> Function | None:
        """Returns the function of this file that a call runs; for a Module, its `forward`."""
        known = self.local(expr)
        if isinstance(known, Function):
            return known
        values = self.assigned(expr)
        if len(values) == 1 and isinstance(values[0], ast.Call):
            cls = self.local(values[0].func)
            if isinstance(cls, Class) and cls.is_module:
                return cls.method("forward")
        return None

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
        is_open = any(isinstance(each, ast.Starred) for each in call.args)
        if is_open or not dicts:
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


@dataclass(frozen=True, eq=False)
class Found:
    """What a name stands for in another file.

    Attributes:
        code: The file.
        target: The class or function.
    """

    code: Code
    target: Class | Function


class Project(Protocol):
    """The files around a source, as the rules see them."""

    def opened(self, text: str, path: str) -> Code:
        """Returns a file that is audited, as it is read."""

    def closed(self, code: Code) -> None:
        """Frees a file that was audited."""

    def find(self, code: Code, name: str) -> Found | None:
        """Returns what a qualified name of a source stands for in another file."""

    def calls(self, code: Code, target: Class | Function) -> Sequence[tuple[Code, Call]] | None:
        """Returns the calls of a class or function in other files; None if not all are known."""


def _with_all_below(classes: list[Class], below: Mapping[Class, list[Class]]) -> set[Class]:
    """Returns classes and all that derive from them."""
    found, waiting = set(classes), list(classes)
    while waiting:
        for each in below.get(waiting.pop(), ()):
            if each not in found:
                found.add(each)
                waiting.append(each)
    return found


def _defaults(node: FunctionNode) -> dict[str, ast.expr]:
    positional = [*node.args.posonlyargs, *node.args.args]
    last = positional[len(positional) - len(node.args.defaults) :]
    found = {one.arg: default for one, default in zip(last, node.args.defaults, strict=True)}
    by_name = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    return found | {one.arg: default for one, default in by_name if default is not None}


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


def _is_module_name(name: str | None) -> bool:
    if name is None:
        return False
    last = name.rpartition(".")[2]
    return (name.startswith("torch.nn.") and last[:1].isupper() and last != "Parameter") or (
        (last in _MODULE_ROOTS or is_pretrained(last)) and not _is_no_module(name)
    )


def _is_no_module(name: str | None) -> bool:
    return name is not None and name.startswith(_NO_MODULES)


def _is_open(base: ast.expr, name: str | None) -> bool:
    """Whether a base is a class from another file that may be a Module."""
    if name is not None:
        # For torch's own classes, the name decides.
        return not name.startswith(("torch.", "abc.", "typing.", "typing_extensions."))
    is_plain = isinstance(base, ast.Name) and base.id in dir(builtins)
    return not is_plain and not isinstance(base, ast.Subscript)
