"""Which dropouts a value has passed: through sums, loops, branches and Modules of the file."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..code import Class, Code, Function, words
from ._dropouts import is_local_dropout, names_dropout
from ._rule import kept
from ._sequences import ACTIVATIONS, Layer, Reader, drops, kind

_NONE: frozenset[ast.expr] = frozenset()
_Passed = frozenset[ast.expr]  # the dropouts that a value has passed since its last normalisation
_WEIGHTS = ast.expr()  # stands for the result of a softmax
_DEEPEST = 3  # methods in methods, Modules in Modules
_DEEPEST_NODE = 60  # calls in calls: beyond any reader
_MOST_STEPS = 20_000  # statements of one file that are followed
_MOST_ALIKE = 12  # values that one attribute is assigned
# Functions of torch, and methods of tensors, whose result does not carry their argument's variance.
_FRESH = frozenset(
    ("size", "dim", "ndim", "numel", "argmax", "argmin", "argsort", "max_pool", "bernoulli")
    + ("zeros_like", "ones_like", "rand_like", "randn_like", "empty_like", "full_like", "item")
    + ("detach", "softmax", "log_softmax", "gumbel_softmax", "sigmoid", "topk", "sort", "backward")
    + ("cross_entropy", "nll_loss", "mse_loss", "normalize", "new_zeros", "new_ones", "std", "var")
)
# Layers of libraries for graphs.
_GRAPHS = ("torch_geometric.", "dgl.", "torch_sparse.", "torch_scatter.", "einops.")
_CONTAINERS = frozenset(("torch.nn.ModuleList", "torch.nn.ModuleDict"))
_WALKS = frozenset(("enumerate", "zip", "reversed", "list", "range", "tuple"))
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass
class _State:
    """What is known at one place of a function.

    Attributes:
        cls: The class whose attributes `self` has.
        passed: For each name, the dropouts that its value has passed.
        modules: For each name that a loop binds, the expressions that build its Modules.
        returned: What the results of the function have passed.
    """

    cls: Class | None
    passed: dict[str, _Passed] = field(default_factory=dict)
    modules: dict[str, list[ast.expr]] = field(default_factory=dict)
    returned: _Passed = _NONE


class Flow:
    """Follows values through the functions of a file."""

    def __init__(self, code: Code, reader: Reader) -> None:
        self.code = code
        self.reader = reader
        self.found: dict[ast.expr, tuple[Layer, Layer]] = {}
        self._layers: dict[ast.expr, Layer] = {}
        self._inside: list[Function] = []
        self._tested: dict[Function, frozenset[str]] = {}
        self._steps = 0

    def read(self) -> Iterator[tuple[Layer, Layer]]:
        """Yields each dropout that a BatchNorm comes after, with that BatchNorm."""
        for function in self.code.functions:
            if function.name != "__init__" and self._steps < _MOST_STEPS:
                self._body(function, _State(function.cls))
        nested: set[ast.AST] = set()
        for call in self.code.calls:  # of nested calls, the outer one comes first
            layers = self.reader.sequential(call, nested)
            if layers is not None and call.node not in nested:
                self._sequence(layers, _NONE)
        yield from self.found.values()

    # --- Statements -----------------------------------------------------------------------------

    def _body(self, function: Function, state: _State) -> _Passed:
        self._inside.append(function)
        self._block(function.node.body, state)
        self._inside.pop()
        return state.returned

    def _block(self, block: Sequence[ast.stmt], state: _State) -> None:
        for statement in block:
            self._steps += 1
            if self._steps > _MOST_STEPS:
                return
            self._statement(statement, state)

    def _statement(self, node: ast.stmt, state: _State) -> None:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            if node.value is None:
                return
            passed = self._value(node.value, state)
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                self._bind(target, passed, state)
        elif isinstance(node, ast.AugAssign):
            passed = self._value(node.value, state) | self._value(node.target, state)
            self._bind(node.target, passed, state)
        elif isinstance(node, ast.Return):
            if node.value is not None:
                state.returned |= self._value(node.value, state)
        elif isinstance(node, ast.Expr):
            self._expression(node.value, state)
        elif isinstance(node, ast.If):
            self._choice([node.body, node.orelse], state, self._has_contrary(node))
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            self._walk(node.target, node.iter, state)
            self._loop(node.body, state)
            self._block(node.orelse, state)
        elif isinstance(node, ast.While):
            self._loop(node.body, state)
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            self._block(node.body, state)
        elif isinstance(node, ast.Try):
            self._block(node.body, state)
            self._choice([[], *(each.body for each in node.handlers)], state)
            self._block(node.finalbody, state)
        elif isinstance(node, ast.Match):
            self._choice([each.body for each in node.cases], state)

    def _loop(self, body: Sequence[ast.stmt], state: _State) -> None:
        self._block(body, state)
        self._block(body, state)  # the second turn begins with what the first left

    def _has_contrary(self, node: ast.If) -> bool:
        """Whether another test of the function is the contrary: `if first`, `if not first`."""
        said = " ".join(self.code.text_of(node.test).split())
        contrary = said[4:] if said.startswith("not ") else f"not {said}"
        return contrary in self._tests(self._inside[-1])

    def _tests(self, function: Function) -> frozenset[str]:
        if function not in self._tested:
            self._tested[function] = frozenset(
                " ".join(self.code.text_of(each.test).split())
                for each in ast.walk(function.node)
                if isinstance(each, (ast.If, ast.IfExp))
            )
        return self._tested[function]

    def _choice(
        self, blocks: Sequence[Sequence[ast.stmt]], state: _State, is_contrary: bool = False
    ) -> None:
        before, after = dict(state.passed), dict[str, _Passed]()
        lost: dict[str, _Passed] = {}
        for block in blocks:
            state.passed = dict(before)
            self._block(block, state)
            if block and isinstance(block[-1], _LEAVING):
                continue
            for name, passed in state.passed.items():
                after[name] = after.get(name, _NONE) | passed
                # What one option normalises, the contrary one does elsewhere.
                lost[name] = lost.get(name, _NONE) | (before.get(name, _NONE) - passed)
        if is_contrary:
            after = {name: passed - lost[name] for name, passed in after.items()}
        state.passed = after

    def _bind(self, target: ast.expr, passed: _Passed, state: _State) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            for each in target.elts:
                self._bind(each, passed, state)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, passed, state)
        elif isinstance(target, ast.Name):
            state.passed[target.id] = passed
            state.modules.pop(target.id, None)
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            name = target.value.id
            state.passed[name] = state.passed.get(name, _NONE) | passed

    def _expression(self, expr: ast.expr, state: _State) -> None:
        passed = self._value(expr, state)
        func = expr.func if isinstance(expr, ast.Call) else None
        is_adder = isinstance(func, ast.Attribute) and func.attr in ("append", "extend")
        if is_adder and isinstance(func.value, ast.Name):  # type: ignore[union-attr]
            name = func.value.id  # type: ignore[union-attr]
            state.passed[name] = state.passed.get(name, _NONE) | passed

    def _walk(self, target: ast.expr, source: ast.expr, state: _State) -> None:
        """Binds the names of a loop: to values, or to the Modules of a list."""
        passed = self._value(source, state)
        self._bind(target, passed, state)
        for name, listed in _pairs(target, source):
            built = self._elements(listed, state)
            if built:
                state.modules[name] = built
                state.passed[name] = _NONE

    # --- Values ---------------------------------------------------------------------------------

    def _value(self, expr: ast.expr, state: _State, depth: int = 0) -> _Passed:
        """Returns the dropouts that a value has passed since its last normalisation."""
        if depth > _DEEPEST_NODE:
            return _NONE
        if isinstance(expr, ast.Name):
            return state.passed.get(expr.id, _NONE)
        if isinstance(expr, ast.Call):
            return self._call(expr, state, depth)
        if isinstance(expr, ast.NamedExpr):
            passed = self._value(expr.value, state, depth + 1)
            self._bind(expr.target, passed, state)
            return passed
        parts: Sequence[ast.expr] = ()
        if isinstance(expr, ast.BinOp):
            parts = (expr.left, expr.right)
        elif isinstance(expr, (ast.Tuple, ast.List)):
            parts = expr.elts
        elif isinstance(expr, ast.IfExp):
            parts = (expr.body, expr.orelse)
        elif isinstance(expr, (ast.Subscript, ast.Starred)):
            parts = (expr.value,)
        elif isinstance(expr, ast.UnaryOp):
            parts = (expr.operand,)
        elif isinstance(expr, ast.Attribute) and expr.attr in ("T", "mT", "last_hidden_state"):
            parts = (expr.value,)
        elif isinstance(expr, (ast.ListComp, ast.GeneratorExp)):
            for each in expr.generators:
                self._walk(each.target, each.iter, state)
            parts = (expr.elt,)
        return self._all(parts, state, depth)

    def _all(self, parts: Sequence[ast.expr], state: _State, depth: int) -> _Passed:
        passed = _NONE
        for part in parts:
            passed |= self._value(part, state, depth + 1)
        return passed

    def _call(self, call: ast.Call, state: _State, depth: int) -> _Passed:
        given = [*call.args, *(each.value for each in call.keywords)]
        passed = self._all(given, state, depth)
        func = call.func
        known = self.reader.calls.get(call)
        name = known.name if known is not None else None
        if name is not None:
            if name.startswith("torch.nn.") and name.rpartition(".")[2][:1].isupper():
                return _NONE  # it builds a Module
            if name in ("torch.nn.functional.batch_norm", "torch.batch_norm"):
                assert known is not None
                return self._normalised(Layer(call, name, known), passed)
            first = call.args[:1]
            if known is not None and drops(self.code, Layer(call, name, known)):
                return self._dropped(Layer(call, name, known), self._all(first, state, depth))
            if name.rpartition(".")[2] == "softmax":
                return frozenset((_WEIGHTS,))
            if not name.startswith(("torch.", *_GRAPHS)) or not _carries(name):
                return _NONE
            return passed
        modules = self._modules(func, state)
        is_element = isinstance(func, ast.Subscript) or (
            isinstance(func, ast.Name) and func.id in state.modules
        )
        layers = self._mixed(modules) if is_element else []
        if layers:
            # A list of unlike layers is walked from its first to its last.
            turns = 2 if any(map(self._is_repeated, modules)) else 1
            has_dropout = any(drops(self.code, each) for each in layers)
            before = _NONE if has_dropout else self._all(call.args[:1], state, depth)
            return self._sequence(layers * turns, before)
        if modules:
            given_first = self._all(call.args[:1], state, depth)
            results = [self._through(each, call, passed, given_first, state) for each in modules]
            return frozenset[ast.expr]().union(*results)
        function = self.code.local(func)
        if isinstance(function, Function):
            return self._followed(function, call, state, depth)
        said = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        if not ACTIVATIONS.isdisjoint(words(said)):
            return passed  # a parameter: `self.act(x)`
        if isinstance(func, ast.Attribute) and func.attr == "softmax":
            return frozenset((_WEIGHTS,))
        if isinstance(func, ast.Attribute) and _carries(func.attr):
            return passed | self._value(func.value, state, depth + 1)  # a method of a tensor
        return _NONE

    def _dropped(self, layer: Layer, passed: _Passed) -> _Passed:
        # Alpha dropout keeps the variance, and weights of an attention are averaged.
        of_dropout = self._inside and self._inside[-1].cls
        if of_dropout and names_dropout(of_dropout.name):
            return passed  # inside of a dropout: who applies that is not here
        if "lpha" in kind(layer) or _WEIGHTS in passed or is_always_on(self.code, layer):
            return passed
        self._layers.setdefault(layer.node, layer)
        return frozenset((layer.node,))

    def _normalised(self, layer: Layer, passed: _Passed) -> _Passed:
        for node in passed - {_WEIGHTS}:
            self.found.setdefault(node, (self._layers[node], layer))
        return _NONE

    # --- Modules --------------------------------------------------------------------------------

    def _modules(self, func: ast.expr, state: _State) -> list[ast.expr]:
        """Returns what may build the Module that is called."""
        if isinstance(func, ast.Name) and func.id in state.modules:
            return state.modules[func.id]
        if isinstance(func, ast.Subscript):
            return self._elements(func.value, state)
        if isinstance(func, ast.Call):
            return [func]
        return [*self._built(func, state)]

    def _mixed(self, modules: Sequence[ast.expr]) -> list[Layer]:
        """Returns the layers of a list in which a dropout or a BatchNorm is among other kinds."""
        found: list[Layer] = []
        for built in modules:
            known = self.reader.calls.get(built) if isinstance(built, ast.Call) else None
            layers = None if known is None else self.reader.sequential(known, set())
            found += [self.reader.built(built, built)] if layers is None else layers
        is_alike = all(map(self._normalises, found)) or len({kind(each) for each in found}) == 1
        if len(modules) < 2 or is_alike:
            return []
        return (
            found
            if any(map(self._normalises, found)) or any(drops(self.code, each) for each in found)
            else []
        )

    def _normalises(self, layer: Layer) -> bool:
        """Whether a layer is a norm, by its name, or stands for none."""
        func = layer.node.func if isinstance(layer.node, ast.Call) else None
        said = layer.name or (self.code.text_of(func) if func is not None else "")
        last = said.rpartition(".")[2]
        return "norm" in words(last) or last == "Identity" or last.startswith("BatchNorm")

    def _is_repeated(self, built: ast.expr) -> bool:
        loops = (ast.For, ast.While, ast.ListComp, ast.GeneratorExp)
        return any(isinstance(each, loops) for each in self.code.parents(built))

    def _built(self, expr: ast.expr, state: _State) -> Iterator[ast.expr]:
        """Yields the calls that an attribute of `self` is assigned, those of options included."""
        is_own = isinstance(expr, ast.Attribute) and isinstance(expr.value, ast.Name)
        if is_own and expr.value.id == "self" and state.cls is not None:  # type: ignore
            values = [each.value for each in state.cls.assigned(expr.attr)]  # type: ignore
        else:
            values = self.code.assigned(expr)
        waiting = [*values[:_MOST_ALIKE]]
        while waiting:
            value = waiting.pop()
            if isinstance(value, ast.IfExp):
                waiting += [value.body, value.orelse]
            elif isinstance(value, ast.Call):
                yield value

    def _elements(self, expr: ast.expr, state: _State) -> list[ast.expr]:
        """Returns what builds the elements of a `ModuleList`: those given, and those appended."""
        while isinstance(expr, ast.Subscript):
            expr = expr.value
        if isinstance(expr, (ast.Tuple, ast.List)):
            return [call for each in expr.elts for call in self._built(each, state)]
        if not isinstance(expr, ast.Attribute) or state.cls is None:
            return []
        found: list[ast.expr] = []
        for given in state.cls.assigned(expr.attr):
            value = given.value
            if isinstance(value, ast.Call) and self.code.name(value.func) in _CONTAINERS:
                for part in value.args:
                    found += _calls_in(part)
                    if isinstance(part, ast.Name):  # ModuleList(layers)
                        found += _appends(self.code).get((state.cls, part.id), ())
                found += self._appended(state.cls, expr.attr)
            elif isinstance(value, (ast.List, ast.ListComp, ast.BinOp)):
                found += _calls_in(value)
                found += self._appended(state.cls, expr.attr)
        return found[:_MOST_ALIKE]

    def _appended(self, cls: Class, name: str) -> list[ast.expr]:
        """Returns what a class, or a base of it, appends to one of its lists."""
        found = _appends(self.code)
        return [each for one in cls.lineage() for each in found.get((one, name), ())]

    def _through(
        self, built: ast.expr, call: ast.Call, passed: _Passed, first: _Passed, state: _State
    ) -> _Passed:
        """Returns what a value has passed behind a Module, given what builds that."""
        known = self.reader.calls.get(built) if isinstance(built, ast.Call) else None
        if known is None or not isinstance(built, ast.Call):
            return _NONE
        if known.name is None:
            if is_local_dropout(self.code, built):
                said = self.code.local(built.func)
                if not isinstance(said, Class) or words(said.name)[-1] != "dropout":
                    return passed  # stochastic depth drops whole samples
                return self._dropped(Layer(call, "torch.nn.Dropout", known), first)
            cls = self.code.local(built.func)
            forward = cls.method("forward") if isinstance(cls, Class) else None
            if isinstance(cls, Class) and forward is not None:
                return self._followed(forward, call, state, 0, cls)
            function = cls if isinstance(cls, Function) else None
            if function is None and not self.reader.sequential(known, set()):
                return _NONE
        layers = self.reader.sequential(known, set())
        if layers is None:
            layers = [Layer(call, known.name or "", known)]
            return self._layer(layers[0], passed)
        return self._sequence(layers, first)

    def _sequence(self, layers: Sequence[Layer], passed: _Passed) -> _Passed:
        for layer in layers:
            built = layer.node if isinstance(layer.node, ast.Call) else None
            cls = self.code.local(built.func) if built is not None and not layer.name else None
            forward = cls.method("forward") if isinstance(cls, Class) else None
            if isinstance(cls, Class) and forward is not None and len(forward.parameters) > 1:
                passed = self._follow(forward, {forward.parameters[1].arg: passed}, cls)
            else:
                passed = self._layer(layer, passed)
        return passed

    def _layer(self, layer: Layer, passed: _Passed) -> _Passed:
        name = kind(layer)
        if name == "Softmax":
            return frozenset((_WEIGHTS,))
        if drops(self.code, layer):
            return self._dropped(layer, passed)
        if is_batch_norm(self.code, layer):
            return self._normalised(layer, passed)
        is_known = layer.name.startswith(("torch.", *_GRAPHS))
        return passed if is_known and "Norm" not in name and _carries(name) else _NONE

    def _followed(
        self,
        function: Function,
        call: ast.Call,
        state: _State,
        depth: int,
        cls: Class | None = None,
    ) -> _Passed:
        """Returns what the result of a function of this file has passed."""
        given: dict[str, _Passed] = {}
        names = [each.arg for each in function.parameters]
        if function.is_bound and function.cls is not None:
            names = names[1:]
        for name, each in zip(names, call.args, strict=False):
            given[name] = self._value(each, state, depth + 1)
        for keyword in call.keywords:
            if keyword.arg in names:
                given[keyword.arg] = self._value(keyword.value, state, depth + 1)
        return self._follow(function, given, cls or (state.cls if function.cls else None))

    def _follow(self, function: Function, given: dict[str, _Passed], cls: Class | None) -> _Passed:
        if function in self._inside or len(self._inside) > _DEEPEST:
            return _NONE
        return self._body(function, _State(cls, given))


_BATCH_NORMS = frozenset(
    ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm", "LazyBatchNorm1d")
    + ("LazyBatchNorm2d", "LazyBatchNorm3d")
)


_OF_GRAPHS = frozenset(("torch_geometric.nn.BatchNorm", "torch_geometric.nn.norm.BatchNorm"))


def is_batch_norm(code: Code, layer: Layer) -> bool:
    """Whether a layer is a BatchNorm that stores the statistics of training.

    Args:
        code: The file.
        layer: A layer.
    """
    if kind(layer) not in _BATCH_NORMS and layer.name not in _OF_GRAPHS:
        return False
    given = layer.call.argument("track_running_stats") if layer.call is not None else None
    return not (isinstance(given, ast.expr) and code.value(given) is False)


def is_always_on(code: Code, layer: Layer) -> bool:
    """Whether a dropout drops in evaluation, too, by a literal: the variance is the same then.

    Args:
        code: The file.
        layer: A dropout.
    """
    given = layer.call.argument("training") if layer.call is not None else None
    return isinstance(given, ast.expr) and code.value(given) is True


def _carries(name: str) -> bool:
    """Whether the result of a function, by its name, has the variance of what it is given."""
    last = name.rpartition(".")[2].rstrip("_")
    return last not in _FRESH and "norm" not in words(last)


def _pairs(target: ast.expr, source: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Yields the names that a loop binds, each with the list that it walks."""
    func = (
        source.func.id if isinstance(source, ast.Call) and isinstance(source.func, ast.Name) else ""
    )
    if func in _WALKS and isinstance(source, ast.Call) and source.args:
        elements = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
        if func == "enumerate" and len(elements) == 2:
            yield from _pairs(elements[1], source.args[0])
        elif func == "zip" and len(elements) == len(source.args):
            for one, listed in zip(elements, source.args, strict=True):
                yield from _pairs(one, listed)
        elif func in ("reversed", "list", "tuple"):
            yield from _pairs(target, source.args[0])
    elif isinstance(target, ast.Name):
        yield target.id, source


def _calls_in(expr: ast.expr) -> Iterator[ast.expr]:
    """Yields what builds the elements of a list that is written down."""
    if isinstance(expr, (ast.List, ast.Tuple)):
        for each in expr.elts:
            yield from _calls_in(each)
    elif isinstance(expr, (ast.ListComp, ast.GeneratorExp)):
        yield from _calls_in(expr.elt)
    elif isinstance(expr, ast.BinOp):
        yield from _calls_in(expr.left)
        yield from _calls_in(expr.right)
    elif isinstance(expr, ast.IfExp):
        yield from _calls_in(expr.body)
        yield from _calls_in(expr.orelse)
    elif isinstance(expr, ast.Call):
        yield expr


@kept
def _appends(code: Code) -> dict[tuple[Class, str], list[ast.expr]]:
    """Returns what each class appends to each of its lists, and to those of its methods."""
    found: dict[tuple[Class, str], list[ast.expr]] = {}
    for call in code.calls:
        func = call.node.func
        if call.cls is None or not isinstance(func, ast.Attribute) or not call.node.args:
            continue
        if func.attr in ("append", "extend"):
            name = getattr(func.value, "attr", "") or getattr(func.value, "id", "")
            found.setdefault((call.cls, name), []).extend(_calls_in(call.node.args[0]))
    return found
