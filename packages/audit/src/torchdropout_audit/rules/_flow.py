"""Which dropouts a value has passed: through sums, loops, branches and Modules of the file."""

from __future__ import annotations

import ast
from collections.abc import Hashable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

from ..code import FUNCTIONAL_ON, UNKNOWN, Call, Class, Code, Function, is_no_rate, words
from ._abroad import abroad, class_of_project
from ._dropouts import holds_layers, is_local_dropout, names_dropout
from ._rule import kept
from ._sequences import ACTIVATIONS, Layer, Reader, drops, kind
from ._turns import last_turns
from ._values import Listed, Made, Part, Value, Values

_NONE: frozenset[ast.expr] = frozenset()
_Passed = frozenset[ast.expr]  # the dropouts that a value has passed since its last normalisation
_WEIGHTS = ast.expr()  # stands for the result of a softmax
_DEEPEST = 3  # methods in methods, Modules in Modules
_DEEPEST_NODE = 60  # calls in calls: beyond any reader
_MOST_PLACES = 50  # of one graph
_MOST_AWAY = 2  # files that a value goes through one after the other
_MOST_ASKED = 200  # Modules of other files
_MOST_STEPS = 20_000  # statements of one file that are followed, or more in a longer one
# Functions of torch, and methods of tensors, whose result does not carry their argument's variance.
_FRESH = frozenset(
    ("size", "dim", "ndim", "numel", "argmax", "argmin", "argsort", "max_pool", "bernoulli")
    + ("zeros_like", "ones_like", "rand_like", "randn_like", "empty_like", "full_like", "item")
    + ("detach", "softmax", "log_softmax", "gumbel_softmax", "sigmoid", "topk", "sort", "backward")
    + ("cross_entropy", "nll_loss", "mse_loss", "normalize", "new_zeros", "new_ones", "std", "var")
)
# Words for what averages values by weights, or puts weights next to values.
_SUMS = frozenset(
    ("matmul", "bmm", "mm", "einsum", "sum", "mean", "linear", "reduce", "scatter", "cat", "concat")
)
_BUILTINS = frozenset(
    ("enumerate", "zip", "list", "tuple", "reversed", "sum", "dict", "iter", "sorted", "next")
)
# Layers of libraries for graphs.
_GRAPHS = ("torch_geometric.", "dgl.", "torch_sparse.", "torch_scatter.", "einops.")
# Words for a linear layer of another file, and for one that may hold a normalisation of its own.
_LINEAR = frozenset(
    ("conv", "conv1d", "conv2d", "convs", "convolution", "linear", "gcn", "gat", "sage", "gin")
    + ("gconv", "dense", "lstm", "gru", "rnn")
)
_OPEN = frozenset(
    ("block", "module", "norm", "bn", "net", "network", "stack", "model", "encoder", "decoder")
    + ("act", "relu", "unit", "head", "mlp", "layers", "stage", "backbone", "tower")
)
# Methods of DGL's graphs that compute data of nodes and edges from data that messages name.
_PASSING = frozenset(
    ("update_all", "apply_edges", "send_and_recv", "push", "pull", "multi_update_all", "prop_nodes")
)
# What the names of functions begin with that run in evaluation only.
_PREDICTING = frozenset((("test",), ("infer",), ("inference",), ("predict",)))
_DATA = frozenset(("ndata", "edata", "srcdata", "dstdata"))
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass
class _State:
    """What is known at one place of a function.

    Attributes:
        cls: The class whose attributes `self` has.
        passed: For each name, the dropouts that its value has passed.
        walked: For each name that a loop binds, the Modules that it walks.
        places: For each name, the parts of its value that are assigned: `data.x`, `out["a"]`.
        returned: What the results of the function have passed.
        is_second: Whether it is in the second turn of the loop around.
        targets: The names that the statement assigns.
    """

    cls: Class | None
    passed: dict[str, _Passed] = field(default_factory=dict)
    walked: dict[str, list[Part]] = field(default_factory=dict)
    places: dict[str, set[str]] = field(default_factory=dict)
    returned: _Passed = _NONE
    is_second: bool = False
    targets: frozenset[str] = frozenset()


class Flow:
    """Follows values through the functions of a file."""

    def __init__(self, code: Code, reader: Reader) -> None:
        self.code = code
        self.reader = reader
        self.values = Values(code, reader)
        self.found: dict[ast.expr, tuple[Layer, Layer]] = {}
        self._layers: dict[ast.expr, Layer] = {}
        self._inside: list[Function] = []
        self._tested: dict[Function, frozenset[str]] = {}
        self._lambdas: list[ast.Lambda] = []
        self._without = 0  # blocks without gradients around
        self._steps = 0
        self._most = max(_MOST_STEPS, 2 * code.size)
        self._depth = 0  # expressions in expressions
        self._away = 0  # how many files are on the way to this one
        self._through: dict[tuple[Call, ...], tuple[Layer | None, bool]] = {}
        self._followed_before: dict[Hashable, _Passed] = {}

    def read(self) -> Iterator[tuple[Layer, Layer]]:
        """Yields each dropout that a BatchNorm comes after, with that BatchNorm."""
        for function in self.code.functions:
            if function.name != "__init__" and self._steps < self._most:
                self._body(function, _State(function.cls))
        for cls in self.code.classes:
            forward = cls.method("forward") if "forward" not in cls.methods else None
            if forward is not None:  # with the layers of this class
                self._follow(forward, {}, cls)
            elif "forward" not in cls.methods:
                chain = self.values.chain_of(cls)
                self._chain(chain.parts if chain is not None else (), _NONE)
        for call in self.code.calls:
            if call.name == "torch.nn.Sequential":
                for value in self.values.finished(call):
                    self._link(value, _NONE)
        yield from self.found.values()

    # --- Statements -----------------------------------------------------------------------------

    def _body(self, function: Function, state: _State) -> _Passed:
        if is_without_training(self.code, function):
            return _NONE  # nothing is trained there
        self._inside.append(function)
        self._block(function.node.body, state)
        self._inside.pop()
        return state.returned

    def _block(self, block: Sequence[ast.stmt], state: _State) -> None:
        for statement in block:
            self._steps += 1
            if self._steps > self._most:
                self.code.cut("statements that are followed", self._most)
                return
            self._statement(statement, state)

    def _statement(self, node: ast.stmt, state: _State) -> None:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            if node.value is None:
                return
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            state.targets = frozenset(t.id for t in targets if isinstance(t, ast.Name))
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
            holds = self.values.truth(node.test)
            if holds is None:
                is_contrary = self._has_contrary(node)
                self._choice([node.body, node.orelse], state, is_contrary, _undropped(node))
            else:
                self._block(node.body if holds else node.orelse, state)
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            self._walk(node.target, node.iter, state)
            self._loop(node.body, state)
            self._block(node.orelse, state)
        elif isinstance(node, ast.While):
            self._loop(node.body, state)
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            is_off = any(_turns_off(self.code, each.context_expr) for each in node.items)
            self._without += is_off
            self._block(node.body, state)
            self._without -= is_off
        elif isinstance(node, ast.Try):
            self._block(node.body, state)
            self._choice([[], *(each.body for each in node.handlers)], state)
            self._block(node.finalbody, state)
        elif isinstance(node, ast.Match):
            self._choice([each.body for each in node.cases], state)

    def _loop(self, body: Sequence[ast.stmt], state: _State) -> None:
        before, state.is_second = state.is_second, False
        self._block(body, state)
        last = [*last_turns(body)]
        if last:  # what the last turn drops is not dropped before another
            for name, passed in state.passed.items():
                kept = (
                    n for n in passed if not any(a <= getattr(n, "lineno", 0) <= b for a, b in last)
                )
                state.passed[name] = frozenset(kept)
        state.is_second = True
        self._block(body, state)  # the second turn begins with what the first left
        state.is_second = before

    def _has_contrary(self, node: ast.If) -> bool:
        """Whether another test of the function is the contrary: `if first`, `if not first`."""
        said = " ".join(self.code.text_of(node.test).split())
        contrary = said[4:] if said.startswith("not ") else f"not {said}"
        return contrary in self._tests(self._inside[-1])

    def _tests(self, function: Function) -> frozenset[str]:
        if function not in self._tested:
            self._tested[function] = frozenset(
                " ".join(self.code.text_of(each.test).split())
                for each in self.code.inside(function.node, ast.If, ast.IfExp)
            )
        return self._tested[function]

    def _choice(
        self,
        blocks: Sequence[Sequence[ast.stmt]],
        state: _State,
        is_contrary: bool = False,
        undropped: Sequence[ast.stmt] | None = None,
    ) -> None:
        before, after = dict(state.passed), dict[str, _Passed]()
        lost: dict[str, _Passed] = {}
        for block in blocks:
            state.passed = {} if block is undropped else dict(before)
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
            state.walked.pop(target.id, None)
            for place in state.places.pop(target.id, ()):  # `data.x` of another object
                state.passed.pop(place, None)
        elif isinstance(target, (ast.Attribute, ast.Subscript)):
            place, root = _place(target), _root(target)
            if place:
                assert isinstance(root, ast.Name)
                state.passed[place] = passed
                state.places.setdefault(root.id, set()).add(place)
            elif isinstance(target.value, ast.Name):
                name = target.value.id
                state.passed[name] = state.passed.get(name, _NONE) | passed

    def _expression(self, expr: ast.expr, state: _State) -> None:
        passed = self._value(expr, state)
        func = expr.func if isinstance(expr, ast.Call) else None
        is_adder = isinstance(func, ast.Attribute) and func.attr in ("append", "extend")
        if is_adder and isinstance(func.value, ast.Name):  # type: ignore[union-attr]
            name = func.value.id  # type: ignore[union-attr]
            state.passed[name] = state.passed.get(name, _NONE) | passed
        elif isinstance(func, ast.Attribute) and func.attr in _PASSING:
            self._pass_messages(expr, state)  # type: ignore[arg-type]

    def _pass_messages(self, call: ast.Call, state: _State) -> None:
        """Binds what is read from a graph later, under new names, to the data of its messages."""
        graph = call.func.value  # type: ignore[attr-defined]
        if not isinstance(graph, ast.Name) or len(state.places.get(graph.id, ())) > _MOST_PLACES:
            return
        said = {each.value for each in ast.walk(call) if isinstance(each, ast.Constant)}
        passed = _NONE
        for place in state.places.get(graph.id, ()):
            if place.endswith("]") and place.rpartition("[")[2][1:-2] in said:
                passed |= state.passed.get(place, _NONE)
        place = f"{graph.id}.*"
        state.passed[place] = passed - {_WEIGHTS}
        state.places.setdefault(graph.id, set()).add(place)

    def _walk(self, target: ast.expr, source: ast.expr, state: _State) -> None:
        """Binds the names of a loop: to values, or to the Modules of a list."""
        passed = self._value(source, state)
        self._bind(target, passed, state)
        for name, parts in self.values.walked(target, self.values.iterated(source, state.cls)):
            if parts and not passed:  # Modules, not a list of what they return
                state.walked[name] = parts
            elif parts and isinstance(source, (ast.List, ast.Tuple)):
                state.passed[name] = _NONE  # a list of results: which one is used is not known

    # --- Values ---------------------------------------------------------------------------------

    def _value(self, expr: ast.expr, state: _State) -> _Passed:
        """Returns the dropouts that a value has passed since its last normalisation."""
        if self._depth > _DEEPEST_NODE:
            return _NONE
        self._depth += 1
        passed = self._read(expr, state)
        self._depth -= 1
        return passed

    def _read(self, expr: ast.expr, state: _State) -> _Passed:
        if isinstance(expr, ast.Name):
            return state.passed.get(expr.id, _NONE)
        if isinstance(expr, ast.Call):
            return self._call(expr, state)
        if isinstance(expr, (ast.Attribute, ast.Subscript)):
            place = _place(expr)
            if place in state.passed:
                return state.passed[place]
            held = expr.value if isinstance(expr, ast.Subscript) else None
            if isinstance(held, ast.Attribute) and held.attr in _DATA:
                return state.passed.get(f"{place.partition('.')[0]}.*", _NONE)
        if isinstance(expr, ast.NamedExpr):
            passed = self._value(expr.value, state)
            self._bind(expr.target, passed, state)
            return passed
        parts: Sequence[ast.expr] = ()
        if isinstance(expr, ast.BinOp):
            if isinstance(expr.op, ast.MatMult):
                return self._all((expr.left, expr.right), state) - {_WEIGHTS}
            if isinstance(expr.op, ast.Mult):
                sides = [self._value(e, state) for e in (expr.left, expr.right)]
                is_weighted = any(e and _WEIGHTS not in e for e in sides)
                either = sides[0] | sides[1]
                return either - {_WEIGHTS} if is_weighted else either
            parts = (expr.left, expr.right)
        elif isinstance(expr, (ast.Tuple, ast.List)):
            parts = expr.elts
        elif isinstance(expr, ast.IfExp):
            parts = self.values.sides(expr)
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
        elif isinstance(expr, ast.DictComp):
            for each in expr.generators:
                self._walk(each.target, each.iter, state)
            parts = (expr.value,)
        elif isinstance(expr, ast.Dict):
            parts = expr.values
        return self._all(parts, state)

    def _all(self, parts: Sequence[ast.expr], state: _State) -> _Passed:
        passed = _NONE
        for part in parts:
            passed |= self._value(part, state)
        return passed

    def _call(self, call: ast.Call, state: _State) -> _Passed:
        given = [*call.args, *(each.value for each in call.keywords)]
        passed = self._all(given, state)
        func = call.func
        said = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        after = self._result(call, passed, said, state)
        return _NONE if "loss" in words(said) else after  # a loss is not an activation

    def _result(self, call: ast.Call, passed: _Passed, said: str, state: _State) -> _Passed:
        func = call.func
        known = self.reader.calls[call]
        if known.name is not None:
            return self._function(known.name, known, passed, state)
        if isinstance(func, ast.Name) and func.id in state.walked:
            before = self._all(call.args[:1], state)
            return self._walked(state.walked[func.id], call, passed, before, state)
        function = self.code.local(func)
        if isinstance(function, Function):
            return self._followed(function, call, state)
        if isinstance(func, ast.Attribute) and func.attr in ("forward", "__call__"):
            if _is_super(func.value):
                return self._of_base(call, passed, state)
            func = func.value
        made = self._made(func, state)
        if made:
            before = self._all(call.args[:1], state)
            if isinstance(func, ast.Subscript) and self.code.value(func.slice) is UNKNOWN:
                lists = [_parts(each) for each in self._made(func.value, state)]
                if any(map(_is_unordered, lists)):
                    return _NONE
                if any(lists) and self.code.pattern(func.slice) is None:
                    walks = [self._walked(e, call, passed, before, state) for e in lists if e]
                    return frozenset[ast.expr]().union(*walks)
            results = [self._applied(each, call, passed, before, state) for each in made]
            return self._any(made, results, passed)
        if not ACTIVATIONS.isdisjoint(words(said)):
            return passed  # a parameter: `self.act(x)`
        if _is_softmax(said):
            return frozenset((_WEIGHTS,))
        if isinstance(func, ast.Attribute) and _carries(func.attr):
            passed |= self._value(func.value, state)  # a method of a tensor
            return passed - {_WEIGHTS} if _sums(func.attr) else passed
        return passed if said in _BUILTINS and isinstance(func, ast.Name) else _NONE

    def _function(self, name: str, call: Call, passed: _Passed, state: _State) -> _Passed:
        """Returns what the result of a function of a library has passed."""
        if name.startswith("torch.nn.") and name.rpartition(".")[2][:1].isupper():
            return _NONE  # it builds a Module
        layer = Layer(call.node, name, call)
        if name in _BATCH_NORM:
            return _NONE if _is_of_batch(self.code, call) else self._normalised(layer, passed)
        if drops(self.code, layer):
            return self._dropped(layer, self._all(call.node.args[:1], state))
        if _is_softmax(name.rpartition(".")[2]):
            return frozenset((_WEIGHTS,))
        if not name.startswith(("torch.", *_GRAPHS)) or not _carries(name):
            return _NONE
        return passed - {_WEIGHTS} if _sums(name.rpartition(".")[2]) else passed

    def _dropped(self, layer: Layer, passed: _Passed) -> _Passed:
        # Alpha dropout keeps the variance, and weights of an attention are averaged.
        of_dropout = self._inside and self._inside[-1].cls
        if of_dropout and names_dropout(of_dropout.name) and not self._is_block(of_dropout):
            return passed  # this is inside a dropout, whose callers are not here
        if "lpha" in kind(layer) or _WEIGHTS in passed or is_always_on(self.code, layer):
            return passed
        rate = layer.call.argument("p") if layer.call is not None else None
        if self.values.is_always(rate, 0):
            return passed  # the Module around is built without a rate
        self._layers.setdefault(layer.node, layer)
        return frozenset((layer.node,))

    def _normalised(self, layer: Layer, passed: _Passed) -> _Passed:
        for node in passed - {_WEIGHTS} if not self._without else ():
            self.found.setdefault(node, (self._layers[node], layer))
        return _NONE

    # --- Modules --------------------------------------------------------------------------------

    def _made(self, expr: ast.expr, state: _State) -> Sequence[Value]:
        """Returns what may be called, with the names that loops bind."""
        if isinstance(expr, ast.Name) and expr.id in state.walked:
            return [value for part in state.walked[expr.id] for value in part.options]
        return self.values.of(expr, state.cls)

    def _walked(
        self,
        parts: Sequence[Part],
        call: ast.Call,
        passed: _Passed,
        first: _Passed,
        state: _State,
    ) -> _Passed:
        """Returns what a value has passed behind one element of a list, or behind all in turn."""
        given = call.args[0] if call.args else None
        goes_on = isinstance(given, ast.Name) and given.id in state.targets  # x = layer(x)
        if self._is_mixed(parts) or (goes_on and len(parts) > 1):
            # Walk it from first to last; in the second turn of a loop, with its own dropouts first.
            is_done = state.is_second and self._chain(parts, _NONE)
            return first if is_done else self._chain(parts, first)
        values = [*dict.fromkeys(value for part in parts for value in part.options)]
        results = [self._applied(each, call, passed, first, state) for each in values]
        return self._any(values, results, passed)

    def _any(self, values: Sequence[Value], results: Sequence[_Passed], before: _Passed) -> _Passed:
        """Returns what a value has passed behind one of several Modules."""
        after = _NONE
        for passed in results:
            after |= passed
        for value, passed in zip(values, results, strict=True):
            # An option that normalises, or may, leaves nothing to report.
            is_plain = isinstance(value, Layer) and value.name.startswith("torch.")
            if not is_plain or self._normalises(value):  # type: ignore[arg-type]
                after -= before - passed
        return after

    def _is_mixed(self, parts: Sequence[Part]) -> bool:
        """Whether a dropout or a BatchNorm is among layers of other kinds."""
        layers = [each for part in parts for each in part.options]
        is_any = any(
            isinstance(each, Layer) and (drops(self.code, each) or self._normalises(each))
            for each in layers
        )
        is_alike = all(isinstance(each, Layer) and self._normalises(each) for each in layers)
        kinds = {kind(each) if isinstance(each, Layer) else type(each) for each in layers}
        return is_any and not is_alike and len(kinds) > 1 and len(parts) > 1

    def _normalises(self, layer: Layer) -> bool:
        """Whether a layer is a norm, by its name."""
        last = _said(layer)
        return "norm" in words(last) or last.startswith("BatchNorm")

    def _applied(
        self, value: Value, call: ast.Call, passed: _Passed, first: _Passed, state: _State
    ) -> _Passed:
        """Returns what a value has passed behind a Module or a function that is called with it."""
        if isinstance(value, Layer):
            if value.node is call.func and is_batch_norm(self.code, value):
                return _NONE  # built anew for each value, it has stored nothing
            return self._layer(replace(value, node=call), passed, first)
        if isinstance(value, Listed):
            return self._chain(value.parts, first) if value.is_chain else _NONE
        if isinstance(value, Made):
            if self._only_drops(value):
                if words(value.cls.name)[-1] != "dropout":
                    return passed  # stochastic depth drops whole samples
                return self._dropped(Layer(call, "torch.nn.Dropout", value.call), first)
            forward = value.cls.method("forward")
            if forward is not None:
                after = self._followed(forward, call, state, value.cls, value)
                return after - passed if _is_norm(value.cls) else after
            with self.values.within(value):
                return self._built_in(value.cls, Layer(call, "", value.call), passed)
        if value.name:
            known = replace(self.reader.calls[call], name=value.name)
            return self._function(value.name, known, passed, state)
        if isinstance(value.target, Function):
            return self._followed(value.target, call, state)
        if isinstance(value.target, ast.Lambda) and len(self._lambdas) < _DEEPEST:
            return self._of_lambda(value.target, call, state)
        return _NONE

    def _only_drops(self, made: Made) -> bool:
        """Whether a Module is a dropout by its name, and not one with weights: `LSTMDropout`."""
        return is_local_dropout(self.code, made.call.node) and not self._is_block(made.cls)

    def _is_block(self, cls: Class) -> bool:
        """Whether a class has weights, by its name or by what it builds."""
        return not _LINEAR.isdisjoint(words(cls.name)) or holds_layers(self.code, cls)

    def _of_lambda(self, function: ast.Lambda, call: ast.Call, state: _State) -> _Passed:
        if function in self._lambdas:
            return _NONE
        given = {
            one.arg: self._value(each, state)
            for one, each in zip(function.args.args, call.args, strict=False)
        }
        self._lambdas.append(function)
        passed = self._value(function.body, _State(state.cls, given))
        self._lambdas.pop()
        return passed

    def _chain(self, parts: Sequence[Part], passed: _Passed) -> _Passed:
        for part in self.values.unrolled(parts):
            self._steps += 1
            if self._steps > self._most:
                self.code.cut("statements that are followed", self._most)
                return _NONE
            results = [self._link(each, passed) for each in part.options]
            after = self._any(part.options, results, passed)
            passed = after | passed if part.may_lack else after
        return passed

    def _link(self, value: Value, passed: _Passed) -> _Passed:
        """Returns what a value has passed behind one layer of a sequence."""
        if isinstance(value, Layer):
            return self._layer(value, passed)
        if isinstance(value, Listed):
            return self._chain(value.parts, passed) if value.is_chain else _NONE
        if isinstance(value, Made):
            if self._only_drops(value):
                if words(value.cls.name)[-1] != "dropout":
                    return passed
                return self._dropped(Layer(value.call.node, "torch.nn.Dropout", value.call), passed)
            forward = value.cls.method("forward")
            if forward is None:
                with self.values.within(value):
                    return self._built_in(value.cls, Layer(value.call.node, "", value.call), passed)
            if len(forward.parameters) > 1:
                with self.values.within(value):
                    after = self._follow(forward, {forward.parameters[1].arg: passed}, value.cls)
                return after - passed if _is_norm(value.cls) else after
        return _NONE

    def _built_in(self, cls: Class, layer: Layer, passed: _Passed) -> _Passed:
        """Returns what a value has passed behind a class with the `forward` of a base of torch."""
        chain = self.values.chain_of(cls)
        if chain is not None:
            return self._chain(chain.parts, passed)
        for one in cls.lineage():
            for base in one.node.bases:
                name = self.code.name(base) or ""
                if name.startswith("torch.nn.") and name != "torch.nn.Module" and layer.call:
                    call = replace(layer.call, name=name)
                    return self._layer(Layer(layer.node, name, call), passed)
        return _NONE

    def _of_base(self, call: ast.Call, passed: _Passed, state: _State) -> _Passed:
        """Returns what the result of `super().forward(x)` has passed."""
        here = self._inside[-1].cls
        if here is None:
            return _NONE
        cls = state.cls or here
        lineage = [*cls.lineage()]
        above = lineage[lineage.index(here) + 1 :] if here in lineage else []
        for one in above:
            if "forward" in one.methods:
                return self._followed(one.methods["forward"], call, state, cls)
        return self._built_in(cls, Layer(call, "", self.reader.calls[call]), passed)

    def _layer(self, layer: Layer, passed: _Passed, first: _Passed | None = None) -> _Passed:
        """Returns what a value has passed behind a layer; `first` is that of its first argument."""
        name = kind(layer)
        if _is_softmax(_said(layer)):
            return frozenset((_WEIGHTS,))
        if drops(self.code, layer):
            return self._dropped(layer, passed)
        if is_batch_norm(self.code, layer):
            return self._normalised(layer, passed)
        is_known = layer.name.startswith(("torch.", *_GRAPHS))
        if not is_known:
            given = passed if first is None else first
            norm, goes_on = self._elsewhere(layer, given)
            if norm is not None:
                return self._normalised(replace(layer, name=norm.name, call=norm.call), given)
            if goes_on:
                return given
            said = words(_said(layer))
            is_plain = not ACTIVATIONS.isdisjoint(said) or (
                not _LINEAR.isdisjoint(said) and _OPEN.isdisjoint(said)
            )
            return passed if is_plain else _NONE
        return passed - {_WEIGHTS} if "Norm" not in name and _carries(name) else _NONE

    # --- Other files ----------------------------------------------------------------------------

    def through(self, cls: Class, call: Call, away: int) -> tuple[Layer | None, bool]:
        """Follows a value that has passed a dropout through a Module.

        Args:
            cls: The class of the Module.
            call: The call that builds it.
            away: How many files are on the way to this one.

        Returns:
            The BatchNorm that it comes to first, and whether it leaves as one that was dropped.
        """
        mark = ast.expr()
        self._layers[mark] = Layer(mark)
        before = self._away, self._steps, self._depth, self._inside
        # What is found does not depend on what other files have asked.
        self._away, self._steps, self._depth, self._inside = away, 0, 0, []
        self.values.refill()
        after = self._link(Made(cls, call), frozenset((mark,)))
        self._away, self._steps, self._depth, self._inside = before
        del self._layers[mark]
        _, norm = self.found.pop(mark, (None, None))
        return norm, mark in after

    def _elsewhere(self, layer: Layer, passed: _Passed) -> tuple[Layer | None, bool]:
        """Returns what a Module of another file does to a value, as `through` does.

        No other file is read for a value that was not dropped.
        """
        if not passed - {_WEIGHTS} or layer.call is None or self._away >= _MOST_AWAY:
            return None, False
        if len(self._through) >= _MOST_ASKED:
            return None, False
        stack = self.values.stack
        key = (layer.call, *(call for _, call in stack))
        if key not in self._through:
            found = class_of_project(self.code, layer.call)
            self._through[key] = (None, False)  # for Modules that hold one another
            if found is not None:
                call = abroad(self.code, layer.call, stack)
                flow = _flow(found[0])
                self._through[key] = flow.through(found[1], call, self._away + 1)
        return self._through[key]

    def _followed(
        self,
        function: Function,
        call: ast.Call,
        state: _State,
        cls: Class | None = None,
        made: Made | None = None,
    ) -> _Passed:
        """Returns what the result of a function of this file has passed."""
        given: dict[str, _Passed] = {}
        names = [each.arg for each in function.parameters]
        if function.is_bound and function.cls is not None:
            names = names[1:]
        for name, each in zip(names, call.args, strict=False):
            given[name] = self._value(each, state)
        for keyword in call.keywords:
            if keyword.arg in names:
                given[keyword.arg] = self._value(keyword.value, state)
        with self.values.within(made) if made is not None else nullcontext():
            return self._follow(function, given, cls or (state.cls if function.cls else None))

    def _follow(self, function: Function, given: dict[str, _Passed], cls: Class | None) -> _Passed:
        if function in self._inside or len(self._inside) > _DEEPEST:
            return _NONE
        # A call in a loop, or of several Modules of one class, is followed once.
        stack = tuple(call for _, call in self.values.stack)
        dropped = frozenset((name, passed) for name, passed in given.items() if passed)
        key = (function, cls, dropped, stack, tuple(self._inside), self._without > 0)
        if key not in self._followed_before:
            passed = self._body(function, _State(cls, given))
            if self._steps > self._most:
                return passed
            self._followed_before[key] = passed
        return self._followed_before[key]


@kept
def _flow(code: Code) -> Flow:
    return Flow(code, Reader(code))


_BATCH_NORMS = frozenset(
    ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm", "LazyBatchNorm1d")
    + ("LazyBatchNorm2d", "LazyBatchNorm3d", "BatchNorm", "SynchronizedBatchNorm1d")
    + ("SynchronizedBatchNorm2d", "SynchronizedBatchNorm3d", "SyncBN", "InPlaceABN")
)


# The functions, and where they take the running mean.
_BATCH_NORM = {"torch.nn.functional.batch_norm": 1, "torch.batch_norm": 3}
_OF_GRAPHS = frozenset(("torch_geometric.nn.BatchNorm", "torch_geometric.nn.norm.BatchNorm"))


def is_batch_norm(code: Code, layer: Layer) -> bool:
    """Whether a layer is a BatchNorm that stores the statistics of training.

    Args:
        code: The file.
        layer: A layer.
    """
    if _said(layer) not in _BATCH_NORMS and layer.name not in _OF_GRAPHS:
        return False
    given = _given(layer.call, "track_running_stats", 4) if layer.call is not None else None
    return not (isinstance(given, ast.expr) and code.value(given) is False)


def _is_of_batch(code: Code, call: Call) -> bool:
    """Whether a call of `F.batch_norm` divides by the variance of the batch in eval, too."""
    training = _given(call, "training", 5)
    mean = _given(call, "running_mean", _BATCH_NORM[call.name or ""])
    return (training is not None and code.value(training) is True) or (
        isinstance(mean, ast.Constant) and mean.value is None
    )


def _given(call: Call, name: str, place: int) -> ast.expr | None:
    """Returns the argument for a parameter that has a place."""
    named = next((each.value for each in call.node.keywords if each.arg == name), None)
    args = call.node.args[: place + 1]
    is_placed = len(args) > place and not any(isinstance(each, ast.Starred) for each in args)
    return args[place] if named is None and is_placed else named


def _undropped(node: ast.If) -> Sequence[ast.stmt] | None:
    """Returns the branch that runs only where a dropout has the rate 0, or is None."""
    test = node.test
    tests = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
    if any(map(is_no_rate, tests)):
        return node.body
    if isinstance(test, ast.Compare) and isinstance(test.ops[0], (ast.Gt, ast.NotEq, ast.IsNot)):
        op = ast.Is() if isinstance(test.ops[0], ast.IsNot) else ast.Eq()
        contrary: ast.expr = ast.Compare(test.left, [op, *test.ops[1:]], test.comparators)
    else:
        contrary = ast.UnaryOp(ast.Not(), test)
    return node.orelse if is_no_rate(contrary) else None


def _parts(value: Value) -> Sequence[Part]:
    return value.parts if isinstance(value, Listed) else ()


def _is_unordered(parts: Sequence[Part]) -> bool:
    """Whether each element has a name of its own, so that their order is not known."""
    return len(parts) > 1 and all(each.key is not None and each.key.is_whole for each in parts)


def _root(expr: ast.expr) -> ast.expr:
    while isinstance(expr, (ast.Attribute, ast.Subscript)):
        expr = expr.value
    return expr


def _place(expr: ast.expr) -> str:
    """Returns a part of an object as text: `data.x`, `g.ndata['h']`; "" if a key is not known."""
    said: list[str] = []
    while isinstance(expr, (ast.Attribute, ast.Subscript)):
        if isinstance(expr, ast.Attribute):
            said.append(f".{expr.attr}")
        elif isinstance(expr.slice, ast.Constant):
            said.append(f"[{expr.slice.value!r}]")
        else:
            return ""
        expr = expr.value
    return "".join([expr.id, *reversed(said)]) if isinstance(expr, ast.Name) else ""


def _said(layer: Layer) -> str:
    """Returns the last part of a layer's name, or of what is called."""
    if layer.name:
        return kind(layer)
    func = layer.call.node.func if layer.call is not None else None
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")


def _is_norm(cls: Class) -> bool:
    """Whether a class of the file is a normalisation, by its name."""
    return "norm" in words(cls.name) and "conv" not in words(cls.name)


def _is_softmax(name: str) -> bool:
    """Whether a function or a layer returns the weights of an attention, by its name."""
    return "softmax" in name.lower() and "log" not in name.lower()


def _sums(name: str) -> bool:
    return not _SUMS.isdisjoint(words(name))


def _is_super(expr: ast.expr) -> bool:
    return isinstance(expr, ast.Call) and getattr(expr.func, "id", "") == "super"


def is_without_training(code: Code, function: Function) -> bool:
    """Whether a function has no gradient, calls `self.eval()`, or predicts by its name.

    Args:
        code: The file.
        function: A function.
    """
    if words(function.name)[:1] in _PREDICTING:
        return True
    if any(map(_is_eval_of_self, function.node.body)):
        return True
    called = (
        each.func if isinstance(each, ast.Call) else each for each in function.node.decorator_list
    )
    return any(code.name(each) in ("torch.no_grad", "torch.inference_mode") for each in called)


def _turns_off(code: Code, context: ast.expr) -> bool:
    """Whether a block has no gradients, and trains nothing: `with torch.no_grad():`."""
    called = context.func if isinstance(context, ast.Call) else context
    return code.name(called) in ("torch.no_grad", "torch.inference_mode")


def _is_eval_of_self(statement: ast.stmt) -> bool:
    call = statement.value if isinstance(statement, ast.Expr) else None
    func = call.func if isinstance(call, ast.Call) else None
    holder = func.value if isinstance(func, ast.Attribute) and func.attr == "eval" else None
    return isinstance(holder, ast.Name) and holder.id == "self"


def is_always_on(code: Code, layer: Layer) -> bool:
    """Whether a dropout drops in evaluation, too, by what is written: the variance is the same.

    Args:
        code: The file.
        layer: A dropout.
    """
    if layer.call is None:
        return False
    given = layer.call.argument("training")
    if given is None and layer.name in FUNCTIONAL_ON:
        return not code.gated(layer.call.node)
    return isinstance(given, ast.expr) and code.value(given) is True


def _carries(name: str) -> bool:
    """Whether the result of a function, by its name, has the variance of what it is given."""
    last = name.rpartition(".")[2].rstrip("_")
    return last not in _FRESH and "norm" not in words(last)
