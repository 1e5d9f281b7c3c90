"""A source file as the rules read it: calls, classes and functions, with every name resolved."""

from __future__ import annotations

import ast
import builtins
import re
import warnings
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from .scopes import COMPREHENSIONS, Binding, FunctionNode, Scope, Scopes
from .signatures import SIGNATURES, canonical, is_public
from .words import speaks_of_training, trains, words

_BOM = "\ufeff"
_LINE_END = re.compile(r"\r\n|\r|\n")
_DEEPEST = 12  # names that stand for names that stand for names: a circle, or beyond any reader


class Unknown:
    """What cannot be known from the source."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        raise TypeError("Expected a test `is UNKNOWN`, got its truth")


UNKNOWN = Unknown()


@dataclass(eq=False)
class Assigned:
    """A value that an attribute is given.

    Attributes:
        node: The statement.
        value: The expression; None where it is not written down.
        function: The method that assigns it; None in the body of the class.
    """

    node: ast.AST
    value: ast.expr | None
    function: Function | None


@dataclass(eq=False)
class Class:
    """A class statement.

    Attributes:
        node: The statement.
        name: Its name.
        bases: The classes of this file that it is derived from.
        is_surely_module: A base is known to be a `torch.nn.Module`.
        is_module: That, or it has a `forward` and a base that is not known.
        methods: Those that it defines itself.
        attributes: What `self.x = ...` and the body of the class assign.
    """

    node: ast.ClassDef
    name: str
    bases: tuple[Class, ...] = ()
    is_surely_module: bool = False
    is_module: bool = False
    methods: dict[str, Function] = field(default_factory=dict)
    attributes: dict[str, list[Assigned]] = field(default_factory=dict)

    def lineage(self) -> list[Class]:
        """The class and those of this file that it is derived from, nearest first."""
        found = [self]
        for one in found:
            found.extend(base for base in one.bases if base not in found)
        return found

    def method(self, name: str) -> Function | None:
        """A method, its own or a base's in this file."""
        return next((c.methods[name] for c in self.lineage() if name in c.methods), None)

    def assigned(self, name: str) -> list[Assigned]:
        """All that an attribute is given, here or in a base of this file."""
        return [each for c in self.lineage() for each in c.attributes.get(name, ())]


@dataclass(eq=False)
class Function:
    """A `def`.

    Attributes:
        node: The statement.
        name: Its name.
        cls: The class that it is a method of.
        parameters: All of them, `self` too, without `*args` and `**kwargs`.
        defaults: The default of each parameter that has one.
        callers: The calls of it in this file.
        is_step: It runs at each step: a `forward` of a Module, or called by one in this file.
    """

    node: FunctionNode
    name: str
    cls: Class | None
    parameters: Sequence[ast.arg]
    defaults: Mapping[str, ast.expr]
    callers: list[Call] = field(default_factory=list)
    is_step: bool = False

    @property
    def is_bound(self) -> bool:
        """Whether a call by `self.name()` fills the first parameter."""
        decorators = (d for d in self.node.decorator_list if isinstance(d, ast.Name))
        return self.cls is not None and "staticmethod" not in {d.id for d in decorators}

    @property
    def is_class_method(self) -> bool:
        """Whether its first parameter is a class."""
        decorators = (d for d in self.node.decorator_list if isinstance(d, ast.Name))
        return self.cls is not None and "classmethod" in {d.id for d in decorators}

    def given(self, call: Call, parameter: str) -> ast.expr | Unknown | None:
        """What a call of this function gives for a parameter; its default where it gives none."""
        names = [p.arg for p in self.parameters]
        positional = [*self.node.args.posonlyargs, *self.node.args.args]
        places = [p.arg for p in positional][1 if self.is_bound else 0 :]
        found = _argument(call.node, places, parameter)
        if found is None and parameter in names:
            return self.defaults.get(parameter)
        return found


@dataclass(eq=False)
class Call:
    """A call.

    Attributes:
        node: The expression.
        name: The qualified name of what is called; None where it is not known.
        function: The innermost `def` round it.
        cls: The class whose method it stands in, nested functions counted.
    """

    node: ast.Call
    name: str | None
    function: Function | None
    cls: Class | None

    def argument(self, name: str) -> ast.expr | Unknown | None:
        """What is given for a parameter, by place or by name.

        Args:
            name: The parameter.

        Returns:
            The expression; None where none is given; UNKNOWN where `*args` or `**kwargs` may.
        """
        return _argument(self.node, SIGNATURES.get(self.name or "", ()), name)


def _argument(node: ast.Call, places: Sequence[str], name: str) -> ast.expr | Unknown | None:
    is_open = False
    for keyword in node.keywords:
        if keyword.arg == name:
            return keyword.value
        is_open |= keyword.arg is None
    for place, argument in enumerate(node.args):
        if isinstance(argument, ast.Starred):
            if name in places[place:]:
                return UNKNOWN
            break
        if place < len(places) and places[place] == name:
            return argument
    return UNKNOWN if is_open else None


_STEPS = frozenset(
    ("forward", "__call__", "training_step", "validation_step", "test_step", "predict_step")
)
_NO_MODULES = (
    "torch.autograd.", "torch.utils.", "torch.distributions.", "torch.optim.",
    "flax.", "jax.", "haiku.", "equinox.", "keras.", "tensorflow.", "tf_keras.", "paddle.",
    "mxnet.", "chainer.", "mindspore.", "mlx.", "tinygrad.", "jittor.", "oneflow.",
    "enum.", "collections.", "numpy.", "sklearn.", "unittest.", "triton.",
)  # fmt: skip
_MODULE_ROOTS = frozenset(
    (
        "LightningModule",
        "PreTrainedModel",
        "MessagePassing",
        "ModelMixin",
        "DataParallel",
        "ScriptModule",
        "GraphModule",
    )
)
_DELIBERATE = frozenset(
    ("mc", "monte", "carlo", "montecarlo", "bayes", "bayesian", "uncertainty", "always")
)
_SETTERS = frozenset(("train", "eval", "set_training", "set_train", "set_eval"))
_OBJECTS = frozenset(("self", "module", "model", "layer", "net", "cls", "ctx"))
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)


class Code:
    """A parsed source.

    Attributes:
        path: The file's path, for messages alone.
        text: The source.
        tree: Its tree.
        calls: Every call, in the order of the source.
        classes: Every class statement.
        functions: Every `def`, methods and nested ones too.
    """

    def __init__(self, text: str, path: str = "<text>") -> None:
        """Parses and resolves.

        Args:
            text: Python source.
            path: Where it is from.

        Raises:
            SyntaxError: It is no Python.
            RecursionError: It is nested too deep for Python's parser.
            MemoryError: The same.
            ValueError: It holds a NUL, on some versions of Python.
        """
        self.path = path
        self.text = text
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the parser thinks of escapes is not our matter
            self.tree = ast.parse(text.removeprefix(_BOM))
        first = len(_BOM) if text.startswith(_BOM) else 0
        self._starts = [first, *(end.end() for end in _LINE_END.finditer(text))]
        self._scopes = Scopes(self.tree)
        self._names: dict[ast.AST, str | None] = {}
        self._trains: dict[ast.AST, bool] = {}
        self._gates: dict[ast.AST, bool] = {}
        self._by_node: dict[ast.AST, Function | Class] = {}
        self.classes: list[Class] = []
        self.functions: list[Function] = []
        self.calls: list[Call] = []
        self._collect()
        self._derive()
        self._link()

    # --- Where things stand ---------------------------------------------------------------------

    def parents(self, node: ast.AST) -> Iterator[ast.AST]:
        """What a node stands in, nearest first."""
        up = self._scopes.parents
        while node in up:
            node = up[node]
            yield node

    def function_of(self, node: ast.AST) -> Function | None:
        """The innermost `def` whose body holds a node."""
        scope: Scope | None = self._scopes.scopes[node]
        while scope is not None:
            found = self._by_node.get(scope.node)
            if isinstance(found, Function):
                return found
            if isinstance(found, Class):
                return None
            scope = scope.outer
        return None

    def class_of(self, node: ast.AST) -> Class | None:
        """The class whose method, or a function nested in one, holds a node."""
        scope: Scope | None = self._scopes.scopes[node]
        is_inside = False
        while scope is not None:
            found = self._by_node.get(scope.node)
            if isinstance(found, Class):
                return found if is_inside else None
            is_inside |= isinstance(found, Function)
            scope = scope.outer
        return None

    def receiver(self, node: ast.AST) -> str | None:
        """What a method calls its object, `self`, where a node can name it; else None."""
        cls = self.class_of(node)
        scope: Scope | None = self._scopes.scopes[node]
        while scope is not None and cls is not None:
            method = self._by_node.get(scope.node)
            if isinstance(method, Function) and method.cls is cls:
                plain = method.is_bound and method.parameters and not method.is_class_method
                name = method.parameters[0].arg if plain else ""
                found = self._scopes.scopes[node].lookup(name)
                is_it = [b.node for b in found] == [method.parameters[0]] if plain else False
                return name if is_it else None
            scope = scope.outer
        return None

    def is_deliberate(self, node: ast.AST) -> bool:
        """Whether a function or class round a node, or the path, says that it drops at any time.

        Monte-Carlo and Bayesian dropout, and the pre-net of Tacotron 2, whose dropout stays on in
        inference (Shen et al. 2018).
        """
        holders = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        names = [each.name for each in self.parents(node) if isinstance(each, holders)]
        names += re.split(r"[/\\]", self.path)
        return any(
            not _DELIBERATE.isdisjoint(words(name)) or "prenet" in name.lower() for name in names
        )

    @cached_property
    def is_test(self) -> bool:
        """Whether the file is a test, by its path."""
        *folders, name = re.split(r"[/\\]", self.path)
        stem = name.partition(".")[0]
        return (
            any(folder in ("test", "tests", "testing") for folder in folders)
            or stem.startswith("test_")
            or stem.endswith("_test")
            or stem == "conftest"
        )

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where a node's text begins and ends: characters from the beginning of the source."""
        assert isinstance(node, (ast.expr, ast.stmt, ast.arg, ast.keyword, ast.alias))
        end_line, end_column = node.end_lineno, node.end_col_offset
        assert end_line is not None
        assert end_column is not None
        return (self._offset(node.lineno, node.col_offset), self._offset(end_line, end_column))

    def _offset(self, line: int, column: int) -> int:
        start = self._starts[line - 1]
        if self.text.isascii():
            return start + column
        end = self._starts[line] if line < len(self._starts) else len(self.text)
        return start + len(self.text[start:end].encode()[:column].decode(errors="replace"))

    def position(self, offset: int) -> tuple[int, int]:
        """The line and the column, both from 1, of a character."""
        line = max(bisect_right(self._starts, offset) - 1, 0)
        return line + 1, offset - self._starts[line] + 1

    def line(self, number: int) -> str:
        """A line of the source, from 1, without its end."""
        start = self._starts[number - 1]
        end = self._starts[number] if number < len(self._starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")

    def text_of(self, node: ast.AST) -> str:
        """The source text of a node."""
        start, end = self.span(node)
        return self.text[start:end]

    # --- What names mean ------------------------------------------------------------------------

    def name(self, expr: ast.AST) -> str | None:
        """The qualified name of what an expression stands for.

        Args:
            expr: A name, or attributes of one.

        Returns:
            `torch.nn.functional.dropout`, say, whatever it was imported as; None for what this file
            defines itself, for what is not known, and for what may be one thing or another.
        """
        return self._name(expr, 0)

    def _name(self, expr: ast.AST, depth: int) -> str | None:
        if expr not in self._names:
            if depth > _DEEPEST:
                return None
            self._names[expr] = None  # a name that stands for itself
            self._names[expr] = self._resolve(expr, depth)
        return self._names[expr]

    def _resolve(self, expr: ast.AST, depth: int) -> str | None:
        if isinstance(expr, ast.Attribute):
            origin = self._name(expr.value, depth + 1)
            if origin is not None:
                return canonical(f"{origin}.{expr.attr}")
            values = [each.value for each in self._held(expr)]
            if len(values) == 1 and isinstance(values[0], (ast.Name, ast.Attribute)):
                return self._name(values[0], depth + 1)
            return None
        if not isinstance(expr, ast.Name):
            return None
        bindings = self.bindings(expr)
        if not bindings:
            return self._starred(expr.id)
        found: set[str | None] = set()
        for binding in bindings:
            if binding.kind == "import":
                found.add(canonical(binding.target))
            elif binding.kind == "value" and isinstance(binding.node, (ast.Name, ast.Attribute)):
                found.add(self._name(binding.node, depth + 1))
            elif not _is_none(binding.node):  # `except ImportError: flash_attn_func = None`
                return None
        return found.pop() if len(found) == 1 else None

    def _starred(self, name: str) -> str | None:
        for origin in self._scopes.module.stars:
            whole = canonical(f"{origin}.{name}")
            if is_public(whole):
                return whole
        return None

    def bindings(self, name: ast.Name) -> list[Binding]:
        """All that a name may stand for where it stands."""
        return self._scopes.scopes[name].lookup(name.id)

    def local(self, expr: ast.AST) -> Function | Class | None:
        """The `def` or `class` of this file that an expression names.

        Args:
            expr: `helper`, `self.helper`, `cls.helper`, `Class.helper`.

        Returns:
            It; None where there is none, or more than one.
        """
        if isinstance(expr, ast.Name):
            found = [b.node for b in self.bindings(expr) if not _is_none(b.node)]
            if len(found) != 1:
                return None
            if isinstance(found[0], ast.Name) and found[0] is not expr:
                return self._by_node.get(found[0]) or self._local_once(found[0])
            return self._by_node.get(found[0])
        if isinstance(expr, ast.Attribute) and isinstance(expr.value, ast.Name):
            owner = self._owner(expr.value)
            return None if owner is None else owner.method(expr.attr)
        return None

    def _local_once(self, name: ast.Name) -> Function | Class | None:
        found = self.bindings(name)
        return self._by_node.get(found[0].node) if len(found) == 1 else None

    def _owner(self, name: ast.Name) -> Class | None:
        """The class that `self`, `cls` or a class's own name stands for."""
        if name.id in ("self", "cls"):
            return self.class_of(name)
        found = self.bindings(name)
        owner = self._by_node.get(found[0].node) if len(found) == 1 else None
        return owner if isinstance(owner, Class) else None

    def _held(self, expr: ast.Attribute) -> list[Assigned]:
        """All that the attribute of a class of this file is given."""
        owner = self._owner(expr.value) if isinstance(expr.value, ast.Name) else None
        return [] if owner is None else owner.assigned(expr.attr)

    def assigned(self, expr: ast.AST) -> list[ast.expr | None]:
        """The expressions that a name or an attribute of `self` is given; None for one not written.

        Empty where it is not known: an attribute of a base elsewhere, a builtin.
        """
        if isinstance(expr, ast.Name):
            return [
                b.node if b.kind == "value" and isinstance(b.node, ast.expr) else None
                for b in self.bindings(expr)
            ]
        if isinstance(expr, ast.Attribute):
            return [each.value for each in self._held(expr)]
        return []

    def value(self, expr: ast.AST) -> object:
        """The literal that an expression is, followed through names that are bound once.

        Args:
            expr: An expression.

        Returns:
            A number, a string, a bool or None; UNKNOWN for everything else.
        """
        return self._value(expr, 0)

    def _value(self, expr: ast.AST | None, depth: int) -> object:
        if expr is None or depth > _DEEPEST:
            return UNKNOWN
        if isinstance(expr, ast.Constant):
            return expr.value
        if isinstance(expr, ast.UnaryOp) and isinstance(expr.op, (ast.USub, ast.UAdd)):
            inner = self._value(expr.operand, depth + 1)
            if isinstance(inner, (int, float)):
                return -inner if isinstance(expr.op, ast.USub) else +inner
        if isinstance(expr, ast.BinOp):
            return self._computed(expr, depth)
        if isinstance(expr, (ast.Name, ast.Attribute)):
            values = self.assigned(expr)
            if len(values) == 1:
                return self._value(values[0], depth + 1)
        return UNKNOWN

    def _computed(self, expr: ast.BinOp, depth: int) -> object:
        left, right = self._value(expr.left, depth + 1), self._value(expr.right, depth + 1)
        if not isinstance(left, (int, float)) or not isinstance(right, (int, float)):
            return UNKNOWN
        if isinstance(expr.op, ast.Add):
            return left + right
        if isinstance(expr.op, ast.Sub):
            return left - right
        if isinstance(expr.op, ast.Mult):
            return left * right
        if isinstance(expr.op, ast.Div) and right != 0:
            return left / right
        return UNKNOWN

    # --- Sequences of layers --------------------------------------------------------------------

    def sequence(self, call: Call) -> list[ast.expr] | None:
        """The layers of a `Sequential`, in order; None where they are not all written down."""
        if call.name != "torch.nn.Sequential" or call.node.keywords:
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
            if listed is None:
                return None
            layers += listed
        return layers

    def listed(self, expr: ast.expr) -> list[ast.expr] | None:
        """The elements of a list or tuple that is written down and not changed after; else None."""
        if isinstance(expr, ast.Name):
            values = self.assigned(expr)
            if len(values) != 1 or values[0] is None or expr.id in self._changed:
                return None
            expr = values[0]
        if not isinstance(expr, (ast.List, ast.Tuple)):
            return None
        return None if any(isinstance(e, ast.Starred) for e in expr.elts) else list(expr.elts)

    def _ordered(self, expr: ast.expr) -> list[ast.expr] | None:
        if not isinstance(expr, ast.Call) or self.name(expr.func) != "collections.OrderedDict":
            return None
        if len(expr.args) != 1 or expr.keywords:
            return None
        inner = expr.args[0]
        if isinstance(inner, ast.Dict) and all(key is not None for key in inner.keys):
            return list(inner.values)
        pairs = self.listed(inner)
        if pairs is None:
            return None
        layers = [p.elts[1] for p in pairs if isinstance(p, ast.Tuple) and len(p.elts) == 2]
        return layers if len(layers) == len(pairs) else None

    @cached_property
    def _changed(self) -> frozenset[str]:
        """Names of lists that a method or an index may have changed."""
        found = set()
        for node in self._scopes.order:
            target: ast.AST | None = None
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                target = node.func.value
            elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
                target = node.value
            if isinstance(target, ast.Name):
                found.add(target.id)
        return frozenset(found)

    # --- Training -------------------------------------------------------------------------------

    def gated(self, node: ast.AST) -> bool:
        """Whether a test of training decides if a node is run.

        An `if`, a conditional expression, an `and` or `or`, a `while`, a `match`, a statement
        before it that leaves, or a function that by its name or by all its calls in this file runs
        in training alone. Generous: in doubt True.

        Args:
            node: A node.
        """
        if node not in self._gates:
            self._gates[node] = False  # what is gated by itself
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
        """Whether there are calls of a function in this file, and all of them are gated."""
        function = self._by_node.get(node)
        callers = function.callers if isinstance(function, Function) else ()
        return bool(callers) and all(self.gated(c.node) for c in callers)

    def _is_after_exit(self, node: ast.stmt, parent: ast.AST) -> bool:
        """Whether a statement before this one leaves the function by a test of training."""
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
        """Whether a value may be another in training than in evaluation.

        It names something that speaks of training, is given something that does (local variables,
        attributes, properties and functions of this file are followed), or comes from a function
        that is not known. Generous: in doubt True.

        Args:
            expr: An expression.
        """
        if expr not in self._trains:
            self._trains[expr] = False  # what depends on itself
            self._trains[expr] = any(map(self._speaks, ast.walk(expr)))
        return self._trains[expr]

    def _speaks(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str) and speaks_of_training(node.value)
        if isinstance(node, ast.Name):
            return speaks_of_training(node.id) or self._name_speaks(node)
        if isinstance(node, ast.Attribute):
            return speaks_of_training(node.attr) or self._attribute_speaks(node)
        if isinstance(node, ast.Call):
            return self._call_speaks(node)
        return False

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
            # In `__init__` a Module is in training: `self.training` tests nothing there.
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
            # It can look at a mode that it is given with its object, or that it keeps itself.
            given = [each.id for each in node.args if isinstance(each, ast.Name)]
            return not (node.args or node.keywords) or not _OBJECTS.isdisjoint(given)
        # A method of a base that is elsewhere may look at `self.training`.
        return (
            isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "self"
            and not self.assigned(node.func)
        )

    # --- Reading --------------------------------------------------------------------------------

    def _collect(self) -> None:
        for node in self._scopes.order:
            if isinstance(node, ast.ClassDef):
                known = Class(node, node.name)
                self.classes.append(known)
                self._by_node[node] = known
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                holder = self._by_node.get(self._scopes.scopes[node].node)
                cls = holder if isinstance(holder, Class) else None
                function = Function(node, node.name, cls, _parameters(node), _defaults(node))
                self.functions.append(function)
                self._by_node[node] = function
                if cls is not None:
                    cls.methods.setdefault(node.name, function)
        for node in self._scopes.order:
            if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
                self._collect_attributes(node)

    def _collect_attributes(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> None:
        if isinstance(node, ast.AnnAssign) and node.value is None:
            return
        value = None if isinstance(node, ast.AugAssign) else node.value
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            pairs = [(target, value)]
            if isinstance(target, (ast.Tuple, ast.List)):
                whole = isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(
                    target.elts
                )
                values = value.elts if whole else [None] * len(target.elts)  # type: ignore[union-attr]
                pairs = list(zip(target.elts, values, strict=True))
            for one, given in pairs:
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
        """Which classes are Modules: bases are classes of this file, known names, or unknown."""
        for cls in self.classes:
            found = [self.local(base) for base in cls.node.bases]
            cls.bases = tuple(base for base in found if isinstance(base, Class) and base is not cls)
        for cls in self.classes:
            bases = [
                (base, self.name(base))
                for one in cls.lineage()
                for base in one.node.bases
                if not isinstance(self.local(base), Class)
            ]
            cls.is_surely_module = any(map(_is_module_name, (name for _, name in bases)))
            may_be = any(_is_open(base, name) for base, name in bases) and not any(
                _is_no_module(name) for _, name in bases
            )
            cls.is_module = cls.is_surely_module or (may_be and cls.method("forward") is not None)

    def _link(self) -> None:
        for node in self._scopes.order:
            if isinstance(node, ast.Call):
                call = Call(node, self.name(node.func), self.function_of(node), self.class_of(node))
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
        """The function of this file that a call runs: for an object of a Module, its `forward`."""
        known = self.local(expr)
        if isinstance(known, Function):
            return known
        values = self.assigned(expr)
        if len(values) == 1 and isinstance(values[0], ast.Call):
            cls = self.local(values[0].func)
            if isinstance(cls, Class) and cls.is_module:
                return cls.method("forward")
        return None


def _parameters(node: FunctionNode) -> list[ast.arg]:
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


def _defaults(node: FunctionNode) -> dict[str, ast.expr]:
    positional = [*node.args.posonlyargs, *node.args.args]
    last = positional[len(positional) - len(node.args.defaults) :]
    found = {one.arg: default for one, default in zip(last, node.args.defaults, strict=True)}
    pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    return found | {one.arg: default for one, default in pairs if default is not None}


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_own_mode(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "training"
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


def _source_of(node: ast.AST) -> ast.AST:
    """What a binding's value comes from: all of `x += y`, the iterable of a loop."""
    if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
        return node.iter
    if isinstance(node, ast.withitem):
        return node.context_expr
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)):
        return node.value or node
    if isinstance(node, ast.AugAssign):
        return node.value
    return node if isinstance(node, ast.expr) else ast.Pass()


def _is_module_name(name: str | None) -> bool:
    if name is None:
        return False
    last = name.rpartition(".")[2]
    return (name.startswith("torch.nn.") and last[:1].isupper() and last != "Parameter") or (
        last in _MODULE_ROOTS and not _is_no_module(name)
    )


def _is_no_module(name: str | None) -> bool:
    return name is not None and name.startswith(_NO_MODULES)


def _is_open(base: ast.expr, name: str | None) -> bool:
    """Whether a base is a class from elsewhere that may be a Module."""
    if name is not None:
        # What is torch's is judged by its name.
        return not name.startswith(("torch.", "abc.", "typing.", "typing_extensions."))
    is_plain = isinstance(base, ast.Name) and base.id in dir(builtins)
    return not is_plain and not isinstance(base, ast.Subscript)


def _place(block: Sequence[ast.AST], node: ast.AST) -> int:
    """Where a node or what holds it stands in a block."""
    return next((i for i, each in enumerate(block) if each is node), len(block))
