"""Layers in the order of application, in a `Sequential` or in a `forward`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..code import FUNCTIONAL_OFF, FUNCTIONAL_ON, MODULES, Call, Class, Code, Function, words
from ._bases import is_stub
from ._constants import constants
from ._rule import kept

_DROPOUTS = frozenset(
    (*MODULES, *FUNCTIONAL_ON, *FUNCTIONAL_OFF, "torch.dropout")
    + tuple(f"torchdropout.nn.{name.rpartition('.')[2]}" for name in MODULES)
)
_MOST_BEFORE = 200  # layers that are looked at before one
_MOST_APPLIED = 50  # times that one `Sequential` is followed where it is applied
_DEEPEST = 8  # names that stand for names: a circle, or beyond any reader
_TENSOR_METHODS = frozenset(
    ("relu", "sigmoid", "tanh", "softmax", "log_softmax", "contiguous", "float")
    + ("view", "reshape", "flatten", "squeeze", "unsqueeze", "transpose", "permute", "masked_fill")
    + ("mean",)
)
_MOST_TURNS = 2  # loops in loops whose second turns are followed
_MOST_ALIKE = 4  # sequences that one attribute may be
_MOST_INLINED = 100  # calls of methods in a file whose bodies are followed
_SCALES = frozenset(("scale", "scaling", "temperature", "temp", "tau", "sqrt", "factor"))
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)
SHAPES = frozenset(
    ("view", "reshape", "flatten", "Flatten", "Unflatten", "unflatten", "squeeze", "unsqueeze")
    + ("transpose", "permute", "movedim", "swapaxes", "contiguous", "select")
)
"""The names of methods and functions that give the same values another shape."""


@dataclass(frozen=True)
class Layer:
    """One layer of a path.

    Attributes:
        node: What a finding marks: the layer in its `Sequential`, or the call that applies it.
        name: The qualified name of the module or function; empty if it is not known.
        call: The call that builds the module or applies the function, with the arguments.
    """

    node: ast.expr
    name: str = ""
    call: Call | None = None


@dataclass(frozen=True)
class Path:
    """A layer that is applied, and what was applied before it.

    Attributes:
        last: The layer itself.
        earlier: The path of the layer before it.
        ends: Whether it ends a `Sequential`, or its result is returned.
        whole: The call of the `Sequential`, or the `return`.
        loose: Whether the value may also have passed by the layer: by an option, or a caller.
    """

    last: Layer
    earlier: Path | None
    ends: bool
    whole: ast.AST
    loose: bool = False

    def before(self) -> Iterator[Layer]:
        """Yields what was applied before it, nearest first, up to a layer that is not torch's."""
        for path in self.perhaps():
            if path.loose and path.last.name not in MASKS and not reshapes(path.last):
                return  # a mask or a shape under an option changes nothing of what was before
            yield path.last

    def perhaps(self) -> Iterator[Path]:
        """Yields what may have been applied before it, layers under an option included."""
        path = self.earlier
        for _ in range(_MOST_BEFORE):
            if path is None or not path.last.name.startswith(("torch.", "torchdropout.")):
                return
            yield path
            path = path.earlier


@kept
def has_dropout(code: Code) -> bool:
    """Whether a file builds or applies one of torch's dropouts."""
    return any(call.name in _DROPOUTS for call in code.calls)


def kind(layer: Layer) -> str:
    """Returns the last part of a layer's name: `Dropout2d`, `batch_norm`."""
    return layer.name.rpartition(".")[2]


def called(code: Code, layer: Layer) -> str:
    """Returns the name of what builds or applies a layer that is not known: `Block1d`, `rnn`.

    Args:
        code: The file.
        layer: A layer.
    """
    func = layer.node.func if isinstance(layer.node, ast.Call) else None
    given = code.assigned(func) if isinstance(func, ast.Attribute) else []
    if len(given) == 1 and isinstance(given[0], ast.Call):
        func = given[0].func
    return "" if func is None else _said(func)


def drops(code: Code, layer: Layer) -> bool:
    """Whether a layer is a dropout that can act: the file does not set its p to 0 everywhere.

    Args:
        code: The file.
        layer: A layer.
    """
    if layer.name not in _DROPOUTS or layer.call is None:
        return False
    p = layer.call.argument("p")
    training = layer.call.argument("train" if layer.name == "torch.dropout" else "training")
    if isinstance(training, ast.expr) and code.value(training) is False:
        return False
    if training is None and layer.name in FUNCTIONAL_OFF:
        return False
    return not constants(code).is_always(p, (0,))


def reshapes(layer: Layer) -> bool:
    """Whether a layer gives the same values another shape, or another place in memory.

    Args:
        layer: A layer.
    """
    return layer.name.startswith("torch.") and kind(layer) in SHAPES


class _Known:
    """The path of the value of each name; changes can be undone, as at the end of a branch."""

    def __init__(self) -> None:
        self._paths: dict[str, Path | None] = {}
        self._undo: list[tuple[str, Path | None]] = []

    def get(self, name: str) -> Path | None:
        return self._paths.get(name)

    def set(self, name: str, path: Path | None) -> None:
        self._undo.append((name, self._paths.get(name)))
        self._paths[name] = path

    def mark(self) -> int:
        return len(self._undo)

    def undo(self, mark: int) -> None:
        while len(self._undo) > mark:
            name, path = self._undo.pop()
            self._paths[name] = path


class Reader:
    """Reads the layers of a file.

    Args:
        code: The file.
        resolve: Returns the layer of an expression that is not read here, such as the name of a
            loop over a list of layers.
        end: Returns the last layer of an attribute that is a `Sequential` which is not read here,
            such as one of a list that grows.
    """

    def __init__(
        self,
        code: Code,
        resolve: Callable[[ast.expr, Class | None], Layer | None] | None = None,
        end: Callable[[Class, str], Layer | None] | None = None,
    ) -> None:
        self.code = code
        self._resolve = resolve
        self._end = end
        self.calls = {call.node: call for call in code.calls}
        self.has_walrus = ":=" in code.text
        self._sequences: dict[ast.Call, list[Layer] | None] = {}
        self._times: dict[ast.Call, int] = {}
        self._only: dict[Class, Layer | None] = {}
        self._inside: list[Function] = []
        self._inlined = 0
        self._turns = 0

    def read(self) -> Iterator[Path]:
        for function in self.code.functions:
            if function.name != "__init__":
                yield from self._block(function.node.body, _Known())

    def entered(self, function: Function, passed: Path) -> Iterator[Path]:
        """Yields what a method applies to its first argument, behind what that has passed."""
        self._inside.append(function)
        known = _Known()
        if len(function.parameters) > 1:
            known.set(function.parameters[1].arg, replace(passed, loose=True))
        yield from self._block(function.node.body, known)
        self._inside.pop()

    # --- What is built --------------------------------------------------------------------------

    def sequential(self, call: Call, nested: set[ast.AST], depth: int = 0) -> list[Layer] | None:
        """Returns the layers of a `Sequential`, including nested ones; None for another call."""
        children = self.code.sequence(call)
        if children is None:
            made = self._made_by(call)
            return (
                None
                if made is None or depth >= _DEEPEST
                else self.sequential(made, nested, depth + 1)
            )
        found: list[Layer] = []
        for child in children:
            if isinstance(child, ast.Name):  # block1 = nn.Sequential(...)
                values = self.code.assigned(child)
                value = values[0] if len(values) == 1 else None
                if isinstance(value, ast.Call) and self.calls[value].name == "torch.nn.Sequential":
                    child = value
            layers = None
            if isinstance(child, ast.Call) and depth < _DEEPEST:
                layers = self.sequential(self.calls[child], nested, depth + 1)
            if layers is None:
                found.append(self.built(child, child))
            else:
                nested.add(child)
                found += layers
        return found

    def _made_by(self, call: Call) -> Call | None:
        """Returns the `Sequential` that a function of this file builds and returns at once."""
        made = self.code.returned(call.node) if call.name is None else None
        return self.calls[made] if isinstance(made, ast.Call) else None

    def built(self, expr: ast.expr | None, node: ast.expr, depth: int = 0) -> Layer:
        """Returns the layer that an expression builds; without a name if it is not known."""
        if depth > _DEEPEST:
            return Layer(node)
        if isinstance(expr, ast.IfExp):  # `nn.Dropout(p) if p > 0 else nn.Identity()`
            sides = [self.built(side, node, depth + 1) for side in (expr.body, expr.orelse)]
            named = [side for side in sides if side.name not in ("", "torch.nn.Identity")]
            is_none = [isinstance(s, ast.Constant) for s in (expr.body, expr.orelse)]
            sure = all(s.name or none for s, none in zip(sides, is_none, strict=True))
            return named[0] if len(named) == 1 and sure else Layer(node)
        if isinstance(expr, (ast.Name, ast.Attribute, ast.Subscript)):
            values = self._held(expr)
            alike = {
                self.code.name(each.func) if isinstance(each, ast.Call) else None for each in values
            }
            if len(values) > 1 and all(each is not None and _is_plain(each) for each in alike):
                # It is one of several layers, and not one that the rules ask about.
                return Layer(node, _one_name({each for each in alike if each}))
            if len(values) != 1 or not isinstance(values[0], (ast.Call, ast.IfExp, ast.Subscript)):
                return self._resolved(expr, node)
            return self.built(values[0], node, depth + 1)
        if not isinstance(expr, ast.Call):
            return Layer(node)
        call = self.calls[expr]
        if call.name is None:
            cls = self.code.local(call.node.func)
            only = self._only_layer(cls, depth) if isinstance(cls, Class) else None
            said = call.node.func
            name = said.id if isinstance(said, ast.Name) else getattr(said, "attr", "")
            if only is None and not ACTIVATIONS.isdisjoint(words(name)):
                return Layer(node, "torch.activation")  # `get_activation(name)`
            if only is None:
                return self._resolved(call.node, node)
            return Layer(node, only.name, only.call)
        return Layer(node, call.name, call)

    def _resolved(self, expr: ast.expr, node: ast.expr) -> Layer:
        """Returns the layer that an expression stands for where more than names is followed."""
        is_method = isinstance(expr, ast.Attribute) and _said(expr.value) != "self"
        if self._resolve is None or is_method:
            return Layer(node)
        found = self._resolve(expr, self.code.class_of(expr))
        return Layer(node) if found is None else replace(found, node=node)

    def _held(self, expr: ast.expr) -> Sequence[ast.expr | None]:
        """Returns what a name, or an element of a dict that is written down, may be."""
        if not isinstance(expr, ast.Subscript):
            return self.code.assigned(expr)
        tables = self.code.assigned(expr.value) if isinstance(expr.value, ast.Name) else ()
        table = tables[0] if len(tables) == 1 else None
        if not isinstance(table, ast.Dict) or len(table.keys) > _MOST_BEFORE:
            return ()
        assert isinstance(expr.value, ast.Name)
        uses = self.code.names_in(self.code.tree).get(expr.value.id, ())
        if len(uses) > _MOST_BEFORE or any(map(self._changes, uses)):
            return ()
        pattern = self.code.pattern(expr.slice)
        return [
            value
            for key, value in zip(table.keys, table.values, strict=True)
            if pattern is None or key is None or pattern.matches(self.code.pattern(key) or pattern)
        ]

    def _changes(self, name: ast.Name) -> bool:
        """Whether a name is used to change what it holds: `kinds[x] = y`, `kinds.update(z)`."""
        parent = next(self.code.parents(name), None)
        if isinstance(parent, ast.Subscript):
            return not isinstance(parent.ctx, ast.Load)
        return isinstance(parent, ast.Attribute) and parent.attr in ("update", "pop", "setdefault")

    def _only_layer(self, cls: Class, depth: int) -> Layer | None:
        """Returns the layer of a Module of this file whose `forward` applies that one alone."""
        if cls not in self._only:
            self._only[cls] = None  # for a class that holds itself
            self._only[cls] = self._find_only(cls, depth)
        return self._only[cls]

    def _find_only(self, cls: Class, depth: int) -> Layer | None:
        forward = cls.method("forward")
        if forward is None or not cls.is_surely_module or len(forward.parameters) != 2:
            return None
        body = [s for s in forward.node.body if not is_stub([s])]
        if len(body) == 2 and isinstance(body[1], ast.Return):  # x = self.conv(x); return x
            name = _target(body[0])
            is_it = isinstance(body[1].value, ast.Name) and body[1].value.id == name
            body = [body[0]] if name and is_it else []
        given = getattr(body[0], "value", None) if len(body) == 1 else None
        if not isinstance(given, ast.Call) or len(given.args) != 1 or given.keywords:
            return None
        same = isinstance(given.args[0], ast.Name) and given.args[0].id == forward.parameters[1].arg
        if not same or not isinstance(given.func, ast.Attribute):
            return None
        layer = self.built(given.func, given, depth + 1)
        return layer if layer.call is not None else None

    # --- What is applied ------------------------------------------------------------------------

    def _block(self, block: Sequence[ast.stmt], known: _Known) -> Generator[Path, None, set[str]]:
        """Follows the values of local names through statements.

        Args:
            block: Statements.
            known: For each name, the path of its value; changed in place.

        Yields:
            The paths.

        Returns:
            The names that the statements bind.
        """
        bound: set[str] = set()
        for statement in block:
            bodies = _bodies(statement)
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                now = {statement.name}
            elif not bodies:
                now = yield from self._simple(statement, known)
                bound |= now
                continue
            elif isinstance(statement, (ast.For, ast.AsyncFor, ast.While)):
                now = _stored(statement)
                # The second iteration begins with what the first left.
                for name in now:
                    known.set(name, None)
                ends: dict[str, Path | None] = {}
                for place, body in enumerate(bodies):
                    mark = known.mark()
                    yield from self._block(body, known)
                    left = {name: known.get(name) for name in now}
                    known.undo(mark)
                    if place == 0 and isinstance(statement, ast.For):
                        ends = left
                    if place == 0:
                        yield from self._second_turn(body, known, left)
                # A `for` runs at least once: after it, the value is what its last turn left.
                for name in now:
                    known.set(name, ends.get(name))
                bound |= now
                continue
            elif isinstance(statement, (ast.With, ast.AsyncWith)):
                bound |= yield from self._block(statement.body, known)
                now = {n for each in statement.items for n in _stored(each.optional_vars)}
            else:
                now = set()
                found: dict[str, Path] = {}
                results: list[dict[str, Path | None]] = []
                for body in bodies:
                    mark = known.mark()
                    inner = yield from self._block(body, known)
                    if isinstance(statement, ast.If) and not isinstance(body[-1], _LEAVING):
                        for name in inner:
                            path = known.get(name)
                            if path is not None and path.last.name.startswith("torch."):
                                found.setdefault(name, replace(path, loose=True))
                    now |= inner
                    results.append({name: known.get(name) for name in inner})
                    known.undo(mark)
                if isinstance(statement, ast.If) and statement.orelse:
                    found.update(_alike(results))
                if isinstance(statement, ast.If) and len(bodies) == 1:
                    for name in now:  # without the option, it is what it was
                        path = known.get(name)
                        if path is not None:
                            found.setdefault(name, replace(path, loose=True))
                for name in now:
                    known.set(name, found.get(name))
                bound |= now
                continue
            for name in now:
                known.set(name, None)
            bound |= now
        return bound

    def _second_turn(
        self, body: Sequence[ast.stmt], known: _Known, left: Mapping[str, Path | None]
    ) -> Iterator[Path]:
        """Yields the paths of a turn that begins with a dropout that the turn before left."""
        dropped = {name: p for name, p in left.items() if p and p.last.name in _DROPOUTS}
        if not dropped or self._turns >= _MOST_TURNS:
            return
        mark = known.mark()
        for name, path in dropped.items():
            known.set(name, replace(path, loose=True))
        self._turns += 1
        yield from self._block(body, known)
        self._turns -= 1
        known.undo(mark)

    def _simple(self, statement: ast.stmt, known: _Known) -> Generator[Path, None, set[str]]:
        value = getattr(statement, "value", None)
        target = _target(statement)
        passed: Path | None = None
        if isinstance(statement, ast.Return) and isinstance(value, (ast.Tuple, ast.List)):
            for each in value.elts:
                yield from self._followed(each, statement, known)
                yield from _returned(each, statement, known)
            value = None
        if isinstance(statement, ast.Return):
            yield from _returned(value, statement, known)
        if isinstance(value, ast.expr) and (target or isinstance(statement, ast.Return)):
            passed = yield from self._followed(value, statement, known)
        elif isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            moved = _moved(statement.op, statement.target, statement.value)
            before = known.get(statement.target.id) if moved is not None else None
            if before is not None:
                target = statement.target.id
                passed = Path(Layer(statement.value, _MOVE), before, False, statement)
            elif moved is None:
                yield from self._followed(statement.value, statement, known)
        elif isinstance(value, ast.expr):
            yield from self._followed(value, statement, known)
        if isinstance(statement, ast.Assign) and not self.has_walrus:
            bound = {name for each in statement.targets for name in _stored(each)}
        elif isinstance(statement, (ast.Expr, ast.Return)) and not self.has_walrus:
            bound = _grown(statement)
        else:
            bound = _stored(statement)
        for name in bound:
            known.set(name, None)
        if passed is not None:
            known.set(target, passed)  # no value is named ""
        return bound

    def _followed(
        self, value: ast.expr, statement: ast.stmt, known: _Known, depth: int = 0
    ) -> Generator[Path, None, Path | None]:
        """Yields the paths of the layers that are applied to one value, and returns the last."""
        source, layers = self._applied(value)
        if layers and not source and depth < _DEEPEST:
            for call in _calls_in(layers[0].node):
                yield from self._followed(call, statement, known, depth + 1)
        passed = known.get(source) if source else None
        for place, layer in enumerate(layers, 1):
            ends = place == len(layers) and isinstance(statement, ast.Return) and depth == 0
            if passed is not None and not layer.name:
                yield from self._inline(layer.node, passed)
            passed = Path(layer, passed, ends, statement)
            yield passed
        return passed

    def _inline(self, node: ast.expr, passed: Path) -> Iterator[Path]:
        """Yields what a method or a Module of this file, called with a value, applies to it."""
        function = self.method(node) if isinstance(node, ast.Call) else None
        if function is None or function.cls is None or not function.is_bound:
            return
        if function in self._inside or len(self._inside) > 1 or self._inlined >= _MOST_INLINED:
            return
        has_dropout = passed.last.name in _DROPOUTS or any(
            each.last.name in _DROPOUTS for each in passed.perhaps()
        )
        if not has_dropout or len(function.parameters) < 2:
            return
        self._inlined += 1
        yield from self.entered(function, passed)

    def method(self, node: ast.Call) -> Function | None:
        """Returns the method of the file that a call runs: of a Module, its `forward`."""
        found = self.code.local(node.func)
        if found is None:
            values = self.code.assigned(node.func)
            only = values[0] if len(values) == 1 else None
            cls = self.code.local(only.func) if isinstance(only, ast.Call) else None
            if isinstance(cls, Class) and cls.is_surely_module and "drop" not in cls.name.lower():
                return cls.method("forward")
        return found if isinstance(found, Function) else None

    def _applied(self, expr: ast.expr) -> tuple[str, list[Layer]]:
        """Returns the name whose value an expression passes through layers, and the layers."""
        outer: list[Layer] = []
        while isinstance(expr, (ast.Call, ast.BinOp, ast.Subscript, ast.List)):
            if isinstance(expr, ast.List):
                if len(expr.elts) != 1:
                    break
                expr = expr.elts[0]  # `outputs = [x]`, of which the last is taken next
                continue
            if isinstance(expr, ast.Subscript):
                is_first = isinstance(expr.value, ast.Call) and self.code.value(expr.slice) == 0
                if not is_first:  # `self.rnn(x)[0]` is the output
                    outer.append(Layer(expr, "torch.select"))
                expr = expr.value
                continue
            if isinstance(expr, ast.BinOp):
                moved = _moved(expr.op, expr.left, expr.right)
                if moved is None:
                    break
                outer.append(Layer(expr, _MOVE))
                expr = moved
                continue
            layers, source = self._step(expr, self.calls[expr])
            outer += reversed(layers)
            if source is None:
                return "", outer[::-1]
            expr = source
        if isinstance(expr, ast.Name):
            return expr.id, outer[::-1]
        return "", [Layer(expr), *reversed(outer)]

    def _step(self, expr: ast.Call, call: Call) -> tuple[list[Layer], ast.expr | None]:
        """Returns the layers that a call applies, and what it applies them to."""
        func = expr.func
        first = expr.args[0] if expr.args and not isinstance(expr.args[0], ast.Starred) else None
        if (
            isinstance(func, ast.Attribute)
            and func.attr.rstrip("_") in _TENSOR_METHODS
            and call.name is None
            and not self.code.assigned(func)
        ):
            return [Layer(expr, f"torch.{func.attr.rstrip('_')}", call)], func.value
        if first is None:
            return [Layer(expr)], None
        if call.name == "torch.where" and len(expr.args) == 3:
            return [Layer(expr, "torch.where", call)], expr.args[1]  # a mask: scores, or a number
        if call.name is not None:
            if call.name.startswith("torch.nn.") and not call.name.startswith(
                "torch.nn.functional."
            ):
                return [
                    Layer(expr)
                ], first  # a module is built here, or it is some other name of torch.nn
            return [Layer(expr, call.name, call)], first
        if isinstance(func, ast.Call):
            return [self.built(func, expr)], first
        values = self.code.assigned(func)
        layers = self._alike(values)
        if layers is not None:
            return layers, first
        layer = self.built(func, expr)
        end = self._ended(func) if layer.name == "torch.nn.Sequential" else None
        return ([layer] if end is None else [Layer(expr), end]), first

    def _alike(self, values: Sequence[ast.expr | None]) -> list[Layer] | None:
        """Returns the layers of a `Sequential`, or of one of several with layers of one kind."""
        calls = [each for each in values if isinstance(each, ast.Call)]
        if not calls or len(calls) < len(values):
            return None
        found = [self._applied_sequence(each) for each in calls[:_MOST_ALIKE]]
        kinds = {tuple(layer.name for layer in each or ()) for each in found}
        is_same = len(kinds) == 1 and len(found) == len(calls) and all(next(iter(kinds)))
        return found[0] if len(calls) == 1 or is_same else None

    def _ended(self, func: ast.expr) -> Layer | None:
        """Returns the last layer of a `Sequential` that is an attribute of `self`."""
        if not isinstance(func, ast.Attribute) or _said(func.value) != "self":
            return None
        cls = self.code.class_of(func)
        return None if self._end is None or cls is None else self._end(cls, func.attr)

    def _applied_sequence(self, node: ast.Call) -> list[Layer] | None:
        """Returns the layers of a `Sequential`, as often as anyone applies one to a new value."""
        if node not in self._sequences:
            self._sequences[node] = self.sequential(self.calls[node], set())
        self._times[node] = self._times.get(node, 0) + 1
        layers = self._sequences[node]
        if layers is not None and self._times[node] > _MOST_APPLIED:
            return [Layer(node)]
        return layers


def _returned(value: ast.expr | None, statement: ast.Return, known: _Known) -> Iterator[Path]:
    """Yields the path of a name that is returned."""
    held = known.get(value.id) if isinstance(value, ast.Name) else None
    if held is not None:
        yield replace(held, ends=True, whole=statement)


ACTIVATIONS = frozenset(("act", "activation", "nonlinearity", "actv"))
"""Words for an activation that is chosen elsewhere."""
_ACTIVATIONS = frozenset(
    ("ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish")
    + ("Sigmoid", "Tanh", "Softplus", "Softsign", "Hardswish", "Hardsigmoid", "Hardtanh")
)
MASKS = frozenset(("torch.masked_fill", "torch.mul", "torch.where"))
"""Layers that change nothing of what was before."""
_MOVE = "torch.mul"  # a scale, or a mask that is added


def _moved(op: ast.operator, left: ast.expr, right: ast.expr) -> ast.expr | None:
    """Returns the tensor that is scaled by a number, or that a mask is added to."""
    if isinstance(op, (ast.Add, ast.Sub)):
        return left if "mask" in words(_said(right)) else None
    if not isinstance(op, (ast.Mult, ast.Div)):
        return None
    if _is_scale(right):
        return left
    return right if isinstance(op, ast.Mult) and _is_scale(left) else None


def _is_scale(expr: ast.expr) -> bool:
    if isinstance(expr, ast.Constant):
        return isinstance(expr.value, (int, float))
    if isinstance(expr, ast.Call):
        func = expr.func
        holder = func.value if isinstance(func, ast.Attribute) else None
        return isinstance(holder, ast.Name) and holder.id in ("math", "np", "numpy")
    if isinstance(expr, ast.BinOp) and isinstance(expr.op, ast.Pow):  # d ** 0.5
        return isinstance(expr.right, (ast.Constant, ast.UnaryOp))
    return not _SCALES.isdisjoint(words(_said(expr)))


def _one_name(names: set[str]) -> str:
    """Returns one name for a layer that is one of several."""
    if len(names) == 1:
        return next(iter(names))
    is_activation = all(each.rpartition(".")[2] in _ACTIVATIONS for each in names)
    return "torch.activation" if is_activation else "torch.layer"


def _is_plain(name: str) -> bool:
    """Whether a name is that of a layer of torch that neither drops nor normalises."""
    last = name.rpartition(".")[2]
    is_layer = name.startswith("torch.nn.") and last[:1].isupper()
    return is_layer and "Norm" not in last and "Drop" not in last and last != "Sequential"


def _said(expr: ast.expr) -> str:
    return expr.id if isinstance(expr, ast.Name) else getattr(expr, "attr", "")


def _calls_in(expr: ast.expr) -> Iterator[ast.Call]:
    """Yields the outermost calls in an expression: in the arguments of one, if it is a call."""
    waiting: list[ast.AST] = list(ast.iter_child_nodes(expr))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Call):
            yield node
        elif not isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp)):
            waiting += ast.iter_child_nodes(node)


def _alike(results: Sequence[Mapping[str, Path | None]]) -> Iterator[tuple[str, Path]]:
    """Yields the names to which all branches give what one part of the file returns."""
    for name, path in results[0].items():
        others = [each.get(name) for each in results]
        parts = {None if each is None else _part(each.last) for each in others}
        if path is not None and None not in parts and len(parts) == 1:
            yield name, path


def _part(layer: Layer) -> str | None:
    """Returns what an unknown layer calls, as text: `self.attention`."""
    func = layer.node.func if isinstance(layer.node, ast.Call) else None
    is_own = isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name)
    return f"{func.value.id}.{func.attr}" if is_own and not layer.name else None  # type: ignore


def _grown(statement: ast.Expr | ast.Return) -> set[str]:
    """Returns the list that a statement adds to: `outputs.append(x)`."""
    func = statement.value.func if isinstance(statement.value, ast.Call) else None
    if not isinstance(func, ast.Attribute) or func.attr not in ("append", "extend", "insert"):
        return set()
    return {func.value.id} if isinstance(func.value, ast.Name) else set()


def _target(statement: ast.stmt) -> str:
    """Returns the name that a statement assigns to; of an unpacked RNN result, the output's."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign):
        target = statement.target
    else:
        return ""
    if isinstance(target, (ast.Tuple, ast.List)) and target.elts:
        target = target.elts[0]
    return target.id if isinstance(target, ast.Name) else ""


def _bodies(statement: ast.stmt) -> list[list[ast.stmt]]:
    """Returns the blocks of a compound statement."""
    found = [getattr(statement, name, None) for name in ("body", "finalbody")]
    after = getattr(statement, "orelse", None)
    while isinstance(after, list) and len(after) == 1 and isinstance(after[0], ast.If):
        found.append(after[0].body)  # a chain of `elif` may be long: no recursion
        after = after[0].orelse
    found.append(after)
    for name in ("handlers", "cases"):
        found += [each.body for each in getattr(statement, name, ())]
    return [body for body in found if isinstance(body, list) and body]


def _stored(node: ast.AST | None) -> set[str]:
    """Returns the names that a node binds."""
    if isinstance(node, ast.Name):
        return {node.id}  # a target, by far the most common
    return {
        each.id
        for each in (() if node is None else ast.walk(node))
        if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)
    }
