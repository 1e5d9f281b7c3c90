"""The interpreter: follows values through the statements, calls and Modules of a file."""

from __future__ import annotations

import ast
import operator
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from ..code import UNKNOWN, Call, Class, Code, Function, is_no_rate, words
from ..code.nodes import dotted, is_super, said_of
from ._abroad import abroad, class_of_project
from ._dropouts import holds_layers, is_local_dropout, names_dropout, one_line
from ._layers import Chain, Layer, Trace, calls, kind, layer_of, said
from ._rule import kept
from ._turns import is_among, last_turns
from ._values import LOOPS, Listed, Made, Part, Value, Values
from ._variance import (
    BATCH_NORM,
    carries,
    has_weights,
    is_always_on,
    is_batch_norm,
    is_linear,
    is_norm,
    is_of_batch,
    is_softmax,
    is_without_training,
    normalises,
    turns_off,
)

_NOTHING = Trace()
_NONE: frozenset[ast.expr] = frozenset()
_WEIGHTS = ast.expr()  # stands for the result of a softmax
_DEEPEST = 3  # methods in methods, Modules in Modules
_DEEPEST_NODE = 60  # calls in calls: beyond any reader
_MOST_AWAY = 2  # files that a value goes through one after the other
_MOST_ASKED = 200  # Modules of other files
_BUILTINS = frozenset(
    ("enumerate", "zip", "list", "tuple", "reversed", "sum", "dict", "iter", "sorted", "next")
)
# Layers of libraries for graphs.
_GRAPHS = ("torch_geometric.", "dgl.", "torch_sparse.", "torch_scatter.", "einops.")
_DATA = frozenset(("ndata", "edata", "srcdata", "dstdata"))
# Words for an activation that is chosen elsewhere.
_ACTIVATIONS = frozenset(("act", "activation", "nonlinearity", "actv"))
_SCALES = frozenset(("scale", "scaling", "temperature", "temp", "tau", "sqrt", "factor"))
# Methods of tensors that are layers of a chain.
_METHODS = frozenset(
    ("relu", "sigmoid", "tanh", "softmax", "log_softmax", "contiguous", "float", "mean", "split")
    + ("view", "reshape", "flatten", "squeeze", "unsqueeze", "transpose", "permute", "masked_fill")
)
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass
class _State:
    """What is known at one place of a function.

    Attributes:
        cls: The class whose attributes `self` has.
        passed: For each name, what its value has passed.
        walked: For each name that a loop binds, the Modules that it walks.
        places: For each name, the parts of its value that are assigned: `data.x`, `out["a"]`.
        returned: What the results of the function have passed.
        is_second: Whether it is in the second turn of the loop around.
        targets: The names that the statement assigns.
    """

    cls: Class | None
    passed: dict[str, Trace] = field(default_factory=dict)
    walked: dict[str, list[Part]] = field(default_factory=dict)
    places: dict[str, set[str]] = field(default_factory=dict)
    returned: list[Trace] = field(default_factory=list)
    is_second: bool = False
    targets: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Given:
    """What the arguments of a call have passed.

    Attributes:
        args: Those by position.
        named: Those by name.
    """

    args: Sequence[Trace]
    named: Sequence[tuple[str | None, Trace]] = ()

    @property
    def first(self) -> Trace:
        """What the first has passed."""
        return self.args[0] if self.args else _NOTHING

    @property
    def all(self) -> Trace:
        """The dropouts that any has passed, with the layers of the first."""
        every = (*self.args, *(each for _, each in self.named))
        return Trace(_NONE.union(*(each.dropped for each in every)), self.first.chains)


@dataclass
class _Run:
    """What following a function has shown.

    Attributes:
        ran: The functions that were followed on the way.
        cut: Those that were not, since a call of them is around.
        depends: Whether it depends on the options of the Modules around.
        passed: What the result has passed.
    """

    ran: set[Function]
    cut: set[Function] = field(default_factory=set)
    depends: bool = False
    passed: Trace = _NOTHING


class Flow:
    """Follows values through the functions of a file.

    Attributes:
        found: Each dropout that a BatchNorm comes after, with that BatchNorm.
        applied: Each layer that is applied with or after a dropout, on the ways to it.
        ends: The ways to what a `return` or a `Sequential` ends with, each with that node.
    """

    def __init__(self, code: Code) -> None:
        self.code = code
        self.values = Values(code)
        self.found: dict[ast.expr, tuple[Layer, Layer]] = {}
        self.applied: dict[tuple[Chain, ...], None] = {}
        self.ends: dict[tuple[ast.AST, tuple[Chain, ...]], None] = {}
        self._layers: dict[ast.expr, Layer] = {}
        self._inside: list[Function] = []
        self._lambdas: list[ast.Lambda] = []
        self._without = 0  # blocks without gradients around
        self._depth = 0  # expressions in expressions
        self._away = 0  # how many files are on the way to this one
        self._through: dict[tuple[Call, ...], tuple[Layer | None, Trace]] = {}
        self._run = _Run(set())
        self._followed_before: dict[Hashable, _Run] = {}

    def read(self) -> Flow:
        """Follows every function, and every `Sequential` by itself."""
        for function in self.code.functions:
            if function.name != "__init__":
                self._follow(function, {}, function.cls)
        for cls in self.code.classes:
            if "forward" not in cls.methods:
                chain = self.values.chain_of(cls)
                self._end(cls.node, self._chain(chain.parts if chain is not None else (), _NOTHING))
        for call in self.code.calls:
            if call.name == "torch.nn.Sequential":
                for value in self.values.finished(call):
                    self._end(call.node, self._applied(value, _Given([_NOTHING])))
        return self

    def _end(self, node: ast.AST, trace: Trace) -> None:
        if any(layer.drops for chain in trace.chains for layer in chain):
            self.ends.setdefault((node, trace.chains))

    # --- Statements -----------------------------------------------------------------------------

    def _body(self, function: Function, state: _State) -> Trace:
        if is_without_training(self.code, function):
            return _NOTHING  # nothing is trained there
        self._inside.append(function)
        for each in function.parameters:
            state.passed.setdefault(each.arg, _NOTHING)
        self._block(function.node.body, state)
        self._inside.pop()
        return _either(state.returned)

    def _block(self, block: Sequence[ast.stmt], state: _State) -> None:
        for statement in block:
            if not self.values.budget.spend():
                return
            self._statement(statement, state)

    def _statement(self, node: ast.stmt, state: _State) -> None:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            if node.value is None:
                return
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            state.targets = frozenset(t.id for t in targets if isinstance(t, ast.Name))
            passed = self._value(node.value, state)
            for target in targets:
                self._bind(target, passed, state)
        elif isinstance(node, ast.AugAssign):
            self._bind(node.target, self._grown(node, state), state)
        elif isinstance(node, ast.Return):
            if node.value is not None:
                passed = self._value(node.value, state)
                self._end(node, passed)
                state.returned.append(passed)
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
            is_off = any(turns_off(self.code, each.context_expr) for each in node.items)
            self._without += is_off
            self._block(node.body, state)
            self._without -= is_off
        elif isinstance(node, ast.Try):
            self._block(node.body, state)
            self._choice([[], *(each.body for each in node.handlers)], state)
            self._block(node.finalbody, state)
        elif isinstance(node, ast.Match):
            self._choice([each.body for each in node.cases], state)

    def _grown(self, node: ast.AugAssign, state: _State) -> Trace:
        """Returns what a value has passed with what is added to it, or by what it is scaled."""
        before, passed = self._value(node.target, state), self._value(node.value, state)
        dropped = before.dropped | passed.dropped
        if isinstance(node.op, (ast.Mult, ast.Div)) and _is_scale(node.value):
            return self._behind(Layer(node.value, "torch.mul"), before, dropped)
        return Trace(dropped)

    def _loop(self, body: Sequence[ast.stmt], state: _State) -> None:
        before = state.is_second
        for is_second in (False, True):  # the second turn begins with what the first left
            state.is_second = is_second
            self._block(body, state)
            # The last turn is not before another, and the others are not the last.
            lines = [*last_turns(body, is_last=not is_second)]
            for name, passed in state.passed.items() if lines else ():
                dropped = passed.dropped
                if not is_second:
                    dropped = frozenset(each for each in dropped if not is_among(each, lines))
                ways = (e for e in passed.chains if not (e and is_among(e[-1].node, lines)))
                state.passed[name] = Trace(dropped, tuple(ways) or ((),))
        state.is_second = before

    def _has_contrary(self, node: ast.If) -> bool:
        """Whether another test of the function is the contrary: `if first`, `if not first`."""
        said = one_line(self.code, node.test)
        contrary = said[4:] if said.startswith("not ") else f"not {said}"
        return contrary in _tests(self.code, self._inside[-1])

    def _choice(
        self,
        blocks: Sequence[Sequence[ast.stmt]],
        state: _State,
        is_contrary: bool = False,
        undropped: Sequence[ast.stmt] | None = None,
    ) -> None:
        before = dict(state.passed)
        ends: list[tuple[dict[str, Trace], dict[str, Trace]]] = []  # what is known, what is new
        for block in blocks:
            state.passed = {} if block is undropped else dict(before)
            self._block(block, state)
            if not (block and isinstance(block[-1], _LEAVING)):
                start = {} if block is undropped else before
                now = state.passed.items()
                new = {n: t for n, t in now if not (n in start and start[n] is t)}
                ends.append((state.passed, new))
        after: dict[str, Trace] = {}
        for known, _ in ends:
            after.update(known)  # most names are as before
        for name in dict.fromkeys(n for _, new in ends for n in new):
            traces = [known[name] for known, _ in ends if name in known]
            after[name] = reduce(operator.or_, traces)
            if is_contrary:  # what one option normalises, the contrary one does elsewhere
                had = before.get(name, _NOTHING).dropped
                after[name] = after[name].but(
                    dropped for each in traces for dropped in had - each.dropped
                )
        state.passed = after

    def _bind(self, target: ast.expr, passed: Trace, state: _State) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            for at, each in enumerate(target.elts):  # the layers are those of the first result
                self._bind(each, passed if at == 0 else Trace(passed.dropped), state)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, passed, state)
        elif isinstance(target, ast.Name):
            state.passed[target.id] = passed
            state.walked.pop(target.id, None)
            for place in state.places.pop(target.id, ()):  # `data.x` of another object
                state.passed.pop(place, None)
        elif isinstance(target, (ast.Attribute, ast.Subscript)):
            place = dotted(target)
            if place:
                state.passed[place] = passed
                state.places.setdefault(place.partition(".")[0], set()).add(place)
            elif isinstance(target.value, ast.Name):
                name = target.value.id
                state.passed[name] = state.passed.get(name, _NOTHING) | Trace(passed.dropped)

    def _expression(self, expr: ast.expr, state: _State) -> None:
        passed = self._value(expr, state)
        func = expr.func if isinstance(expr, ast.Call) else None
        is_adder = isinstance(func, ast.Attribute) and func.attr in ("append", "extend")
        held = func.value if is_adder else None  # type: ignore[union-attr]
        if isinstance(held, ast.Name):
            before = state.passed.get(held.id, _NOTHING)
            state.passed[held.id] = Trace(before.dropped | passed.dropped)

    def _walk(self, target: ast.expr, source: ast.expr, state: _State) -> None:
        """Binds the names of a loop: to values, or to the Modules of a list."""
        passed = Trace(self._value(source, state).dropped)
        self._bind(target, passed, state)
        for name, parts in self.values.walked(target, self.values.iterated(source, state.cls)):
            if parts and not passed.dropped:  # Modules, not a list of what they return
                state.walked[name] = parts
            elif parts and isinstance(source, (ast.List, ast.Tuple)):
                state.passed[name] = _NOTHING  # a list of results: which one is used is not known

    # --- Values ---------------------------------------------------------------------------------

    def _value(self, expr: ast.expr, state: _State) -> Trace:
        """Returns what a value has passed."""
        if self._depth > _DEEPEST_NODE:
            return _NOTHING
        self._depth += 1
        passed = self._read(expr, state)
        self._depth -= 1
        return passed

    def _read(self, expr: ast.expr, state: _State) -> Trace:
        if isinstance(expr, ast.Name):
            return state.passed.get(expr.id, _NOTHING)
        if isinstance(expr, ast.Call):
            passed = self._call(expr, state)
            # A loss is not an activation.
            return passed.but(passed.dropped) if "loss" in words(said_of(expr.func)) else passed
        if isinstance(expr, (ast.Attribute, ast.Subscript)):
            place = dotted(expr)
            if place in state.passed:
                return state.passed[place]
            held = expr.value if isinstance(expr, ast.Subscript) else None
            if isinstance(held, ast.Attribute) and held.attr in _DATA:  # what messages made
                data = sorted(state.places.get(place.partition(".")[0], ()))
                return _either([state.passed[each] for each in data if each in state.passed])
        if isinstance(expr, ast.NamedExpr):
            passed = self._value(expr.value, state)
            self._bind(expr.target, passed, state)
            return passed
        if isinstance(expr, ast.BinOp):
            return self._mixed(expr, state)
        if isinstance(expr, ast.IfExp):
            sides = {each: self._value(each, state) for each in self.values.sides(expr)}
            # `f(x) if is_on else x`: what follows may have the same test.
            ways = [sides[e] for e in sides if self.code.inside(e, ast.Call)]
            either = _either([*sides.values()])
            return Trace(either.dropped, _either(ways).chains) if ways else either
        if isinstance(expr, ast.Subscript):
            passed = self._value(expr.value, state)
            if isinstance(expr.value, ast.Call) and self.code.value(expr.slice) == 0:
                return passed  # `self.rnn(x)[0]` is the output
            return self._behind(Layer(expr, "torch.select"), passed, passed.dropped)
        parts: Sequence[ast.expr] = ()
        if isinstance(expr, (ast.Tuple, ast.List)):
            parts = expr.elts
            if parts and (len(parts) == 1 or isinstance(expr, ast.Tuple)):
                first = self._value(parts[0], state)
                others = self._all(parts[1:], state)  # `return output, weights`
                return Trace(first.dropped | (others.dropped - {_WEIGHTS}), first.chains)
        elif isinstance(expr, ast.Starred):
            parts = (expr.value,)
        elif isinstance(expr, ast.UnaryOp):
            parts = (expr.operand,)
        elif isinstance(expr, ast.Attribute) and expr.attr in ("T", "mT", "last_hidden_state"):
            parts = (expr.value,)
        elif isinstance(expr, (ast.ListComp, ast.GeneratorExp, ast.DictComp)):
            for each in expr.generators:
                self._walk(each.target, each.iter, state)
            parts = (expr.value if isinstance(expr, ast.DictComp) else expr.elt,)
        elif isinstance(expr, ast.Dict):
            parts = expr.values
        return self._all(parts, state)

    def _mixed(self, expr: ast.BinOp, state: _State) -> Trace:
        """Returns what a sum, a product or a scaled value has passed."""
        left, right = self._value(expr.left, state), self._value(expr.right, state)
        dropped = left.dropped | right.dropped
        moved = right if isinstance(expr.op, ast.Mult) and _is_scale(expr.left) else left
        is_sum = isinstance(expr.op, (ast.Add, ast.Sub))
        scale = expr.left if moved is right else expr.right
        if "mask" in words(said_of(scale)) if is_sum else _is_scale(scale):
            return self._behind(Layer(expr, "torch.mul"), moved, dropped)
        return Trace(dropped)

    def _all(self, parts: Iterable[ast.expr], state: _State) -> Trace:
        """Returns the dropouts that any of several values has passed."""
        return Trace(_NONE.union(*(self._value(part, state).dropped for part in parts)))

    def _call(self, call: ast.Call, state: _State) -> Trace:
        args = [self._value(each, state) for each in call.args]
        named = [(each.arg, self._value(each.value, state)) for each in call.keywords]
        given, func, name = _Given(args, named), call.func, said_of(call.func)
        known = calls(self.code)[call]
        if known.name is not None:
            return self._function(known.name, known, given)
        if isinstance(func, ast.Name) and func.id in state.walked:
            return self._walked(state.walked[func.id], call, given, state)
        function = self.code.local(func)
        if isinstance(function, Function):
            return self._followed(function, given, state.cls if function.cls else None)
        if isinstance(func, ast.Attribute) and func.attr in ("forward", "__call__"):
            if is_super(func.value):
                return self._of_base(call, given, state)
            func = func.value
        made = self._made(func, state)
        if made:
            if isinstance(func, ast.Subscript) and self.code.value(func.slice) is UNKNOWN:
                held = self._made(func.value, state)
                lists = [each.parts for each in held if isinstance(each, Listed)]
                # If each element has a name of its own, their order is not known.
                many = [each for each in lists if len(each) > 1]
                if any(all(part.key and part.key.is_whole for part in each) for each in many):
                    return _NOTHING
                # Those that the key may take, in turn if a loop is around.
                ways = [[e for e in each if not {*made}.isdisjoint(e.options)] for each in lists]
                if any(ways) and any(isinstance(e, LOOPS) for e in self.code.parents(call)):
                    return _either([self._walked(e, call, given, state) for e in ways if e])
            results = [self._applied(each, given, call, state.cls) for each in made]
            return self._any(made, results, given.all)
        layer = Layer(call, "", known)
        if not _ACTIVATIONS.isdisjoint(words(name)):  # a parameter: `self.act(x)`
            return self._behind(replace(layer, name="torch.activation"), given.all)
        owner = self._value(func.value, state) if isinstance(func, ast.Attribute) else _NOTHING
        method = name.rstrip("_")
        if method in _METHODS and isinstance(func, ast.Attribute):
            layer, chains = replace(layer, name=f"torch.{method}"), owner.chains
        else:
            chains = given.first.chains
        passed = Trace(given.all.dropped, chains)
        if is_softmax(name):
            return self._behind(layer, passed, frozenset((_WEIGHTS,)))
        if isinstance(func, ast.Attribute) and carries(func.attr):
            passed = Trace(passed.dropped | owner.dropped, chains)  # a method of a tensor
            return self._behind(layer, passed)
        is_builtin = name in _BUILTINS and isinstance(func, ast.Name)
        return self._behind(layer, passed, passed.dropped if is_builtin else _NONE)

    def _function(self, name: str, call: Call, given: _Given) -> Trace:
        """Returns what the result of a function of a library has passed."""
        if name.startswith("torch.nn.") and name.rpartition(".")[2][:1].isupper():
            return _NOTHING  # it builds a Module
        passed, layer = given.all, layer_of(self.code, call.node, name, call)
        if name in BATCH_NORM:
            if is_of_batch(self.code, call):
                return self._behind(layer, passed, _NONE)
            return self._normalised(layer, passed)
        if layer.drops:
            return self._dropped(layer, given.first)
        if is_softmax(name.rpartition(".")[2]):
            return self._behind(layer, passed, frozenset((_WEIGHTS,)))
        if not name.startswith(("torch.", *_GRAPHS)) or not carries(name):
            return self._behind(layer, passed, _NONE)
        return self._behind(layer, passed)

    def _behind(
        self, layer: Layer, passed: Trace, dropped: frozenset[ast.expr] | None = None
    ) -> Trace:
        """Records that a layer is applied to a value, and returns what its result has passed."""
        after = passed.behind(layer, passed.dropped if dropped is None else dropped)
        if any(each.drops for chain in after.chains for each in chain):
            self.applied.setdefault(after.chains)
        return after

    def _dropped(self, layer: Layer, passed: Trace) -> Trace:
        rate = layer.call.argument("p") if layer.call is not None else None
        if self.values.is_always(rate, 0):  # the Module around is built without a rate
            return self._behind(replace(layer, drops=False), passed)
        after = self._behind(layer, passed)
        # Alpha dropout keeps the variance, and weights of an attention are averaged.
        of_dropout = self._inside and self._inside[-1].cls
        if of_dropout and names_dropout(of_dropout.name) and not self._is_block(of_dropout):
            return after  # this is inside a dropout, whose callers are not here
        if "lpha" in kind(layer) or _WEIGHTS in passed.dropped or is_always_on(self.code, layer):
            return after
        self._layers.setdefault(layer.node, layer)
        return Trace(frozenset((layer.node,)), after.chains)

    def _normalised(self, layer: Layer, passed: Trace) -> Trace:
        for node in passed.dropped - {_WEIGHTS} if not self._without else ():
            self.found.setdefault(node, (self._layers[node], layer))
        return self._behind(layer, passed, _NONE)

    # --- Modules --------------------------------------------------------------------------------

    def _made(self, expr: ast.expr, state: _State) -> Sequence[Value]:
        """Returns what may be called, with the names that loops bind."""
        if isinstance(expr, ast.Name) and expr.id in state.walked:
            return [value for part in state.walked[expr.id] for value in part.options]
        return self.values.of(expr, state.cls)

    def _walked(self, parts: Sequence[Part], call: ast.Call, given: _Given, state: _State) -> Trace:
        """Returns what a value has passed behind one element of a list, or behind all in turn."""
        arg = call.args[0] if call.args else None
        goes_on = isinstance(arg, ast.Name) and arg.id in state.targets  # x = layer(x)
        if self._is_mixed(parts) or (goes_on and len(parts) > 1):
            # Walk it from first to last; in the second turn of a loop, with its own dropouts first.
            if state.is_second and self._chain(parts, _NOTHING).dropped:
                return given.first
            return self._chain(parts, given.first)
        values = [*dict.fromkeys(value for part in parts for value in part.options)]
        results = [self._applied(each, given, call, state.cls) for each in values]
        return self._any(values, results, given.all)

    def _any(self, values: Sequence[Value], results: Sequence[Trace], before: Trace) -> Trace:
        """Returns what a value has passed behind one of several Modules."""
        after, foreign = _either(results), 0
        for passed, value in zip(results, values, strict=True):
            # An option that normalises, or may, leaves nothing to report.
            is_plain = isinstance(value, Layer) and value.name.startswith("torch.")
            foreign += not is_plain and not isinstance(value, Listed)
            if not is_plain or normalises(value):  # type: ignore[arg-type]
                after = after.but(before.dropped - passed.dropped)
        # With which layers one of several Modules ends is not known.
        return Trace(after.dropped) if foreign > 1 else after

    def _is_mixed(self, parts: Sequence[Part]) -> bool:
        """Whether a dropout or a BatchNorm is among layers of other kinds."""
        layers = [each for part in parts for each in part.options]
        is_any = any(isinstance(e, Layer) and (e.drops or normalises(e)) for e in layers)
        is_alike = all(isinstance(each, Layer) and normalises(each) for each in layers)
        kinds = {kind(each) if isinstance(each, Layer) else type(each) for each in layers}
        return is_any and not is_alike and len(kinds) > 1 and len(parts) > 1

    def _chain(self, parts: Sequence[Part], before: Trace) -> Trace:
        passed = before
        for part in self.values.unrolled(parts):
            if not self.values.budget.spend():
                return _NOTHING
            results = [self._applied(each, _Given([passed])) for each in part.options]
            after = self._any(part.options, results, passed)
            passed = after | passed if part.may_lack else after
        if parts and all(part.may_lack for part in parts):  # one of them is there
            ways = [each for each in passed.chains if each not in before.chains]
            return Trace(passed.dropped, tuple(ways))
        return passed

    def _applied(
        self,
        value: Value,
        given: _Given,
        call: ast.Call | None = None,
        cls: Class | None = None,
    ) -> Trace:
        """Returns what a value has passed behind a Module or a function.

        Args:
            value: The Module or the function.
            given: What it is given.
            call: Its call; None for a layer of a sequence.
            cls: The class whose attributes `self` has at the call.
        """
        if isinstance(value, Layer):
            return self._layer(value if call is None else replace(value, node=call), given)
        if isinstance(value, Listed):
            return self._chain(value.parts, given.first) if value.is_chain else _NOTHING
        if isinstance(value, Made):
            return self._module(value, given, value.call.node if call is None else call)
        if call is None:
            return _NOTHING
        if value.name:
            known = replace(calls(self.code)[call], name=value.name)
            return self._function(value.name, known, given)
        if isinstance(value.target, Function):
            return self._followed(value.target, given, cls if value.target.cls else None)
        if isinstance(value.target, ast.Lambda):
            return self._of_lambda(value.target, given, cls)
        return _NOTHING

    def _module(self, made: Made, given: _Given, node: ast.expr) -> Trace:
        """Returns what a value has passed behind a Module of the file."""
        # A dropout by its name, and not one with weights: `LSTMDropout`.
        if is_local_dropout(self.code, made.call.node) and not self._is_block(made.cls):
            if words(made.cls.name)[-1] != "dropout":  # stochastic depth drops whole samples
                return self._behind(Layer(node, "", made.call), given.all)
            return self._dropped(Layer(node, "torch.nn.Dropout", made.call, True), given.first)
        forward = made.cls.method("forward")
        with self.values.within(made):
            if forward is None:
                return self._built_in(made.cls, Layer(node, "", made.call), given)
            after = self._followed(forward, given, made.cls)
        return after.but(given.all.dropped) if is_norm(made.cls) else after

    def _is_block(self, cls: Class) -> bool:
        """Whether a class has weights, by its name or by what it builds."""
        return has_weights(cls.name) or holds_layers(self.code, cls)

    def _of_lambda(self, function: ast.Lambda, given: _Given, cls: Class | None) -> Trace:
        if function in self._lambdas or len(self._lambdas) >= _DEEPEST:
            return _NOTHING
        names = (each.arg for each in function.args.args)
        self._lambdas.append(function)
        passed = dict(zip(names, given.args, strict=False))
        after = self._value(function.body, _State(cls, passed))
        self._lambdas.pop()
        return after

    def _built_in(self, cls: Class, layer: Layer, given: _Given) -> Trace:
        """Returns what a value has passed behind a class with the `forward` of a base of torch."""
        chain = self.values.chain_of(cls)
        if chain is not None:
            return self._chain(chain.parts, given.all)
        for one in cls.lineage():
            for base in one.node.bases:
                name = self.code.name(base) or ""
                if name.startswith("torch.nn.") and name != "torch.nn.Module" and layer.call:
                    call = replace(layer.call, name=name)
                    return self._layer(layer_of(self.code, layer.node, name, call), given)
        return _NOTHING

    def _of_base(self, call: ast.Call, given: _Given, state: _State) -> Trace:
        """Returns what the result of `super().forward(x)` has passed."""
        here = self._inside[-1].cls
        if here is None:
            return _NOTHING
        cls = state.cls or here
        lineage = [*cls.lineage()]
        above = lineage[lineage.index(here) + 1 :] if here in lineage else []
        for one in above:
            if "forward" in one.methods:
                return self._followed(one.methods["forward"], given, cls)
        return self._built_in(cls, Layer(call, "", calls(self.code)[call]), given)

    def _layer(self, layer: Layer, given: _Given) -> Trace:
        """Returns what a value has passed behind a layer."""
        passed = given.all
        if is_softmax(said(layer)):
            return self._behind(layer, passed, frozenset((_WEIGHTS,)))
        if layer.drops:
            return self._dropped(layer, passed)
        if is_batch_norm(self.code, layer):
            func = layer.node.func if isinstance(layer.node, ast.Call) else None
            if layer.call is not None and func is layer.call.node:
                return self._behind(layer, passed, _NONE)  # it is built anew, in training mode
            return self._normalised(layer, passed)
        if layer.name.startswith(("torch.", *_GRAPHS)):
            if "Norm" in kind(layer) or not carries(layer.name):
                return self._behind(layer, passed, _NONE)
            return self._behind(layer, passed.but({_WEIGHTS}))
        if given.first.dropped - {_WEIGHTS}:  # else no other file is read
            norm, after = self.elsewhere(layer)
            if norm is not None:
                layer = replace(layer, name=norm.name, call=norm.call)
                return self._normalised(layer, given.first)
            if after.dropped:
                return self._behind(layer, given.first)
        names = words(said(layer))
        if not _ACTIVATIONS.isdisjoint(names):
            return self._behind(replace(layer, name="torch.activation"), passed)
        return self._behind(layer, passed, passed.dropped if is_linear(said(layer)) else _NONE)

    # --- Other files ----------------------------------------------------------------------------

    def through(self, cls: Class, call: Call, away: int) -> tuple[Layer | None, Trace]:
        """Follows a value that has passed a dropout through a Module.

        Args:
            cls: The class of the Module.
            call: The call that builds it.
            away: How many files are on the way to this one.

        Returns:
            The BatchNorm that it comes to first, and what it has passed where it leaves: a dropout
            if it leaves as one that was dropped before.
        """
        mark = ast.expr()
        self._layers[mark] = Layer(mark)
        before = self._away, self._depth, self._inside
        # What is found does not depend on what other files have asked.
        self._away, self._depth, self._inside = away, 0, []
        self.values.budget.refill()
        after = self._applied(Made(cls, call), _Given([Trace(frozenset((mark,)))]))
        self._away, self._depth, self._inside = before
        del self._layers[mark]
        _, norm = self.found.pop(mark, (None, None))
        return norm, Trace(after.dropped & {mark}, after.chains)

    def elsewhere(self, layer: Layer) -> tuple[Layer | None, Trace]:
        """Returns what a Module of another file does to a value, as `through` does."""
        if layer.call is None or self._away >= _MOST_AWAY or len(self._through) >= _MOST_ASKED:
            return None, _NOTHING
        stack = self.values.stack
        self.values.constants.depends = True
        key = (layer.call, *(call for _, call in stack))
        if key not in self._through:
            found = class_of_project(self.code, layer.call)
            self._through[key] = (None, _NOTHING)  # for Modules that hold one another
            if found is not None:
                call = abroad(self.code, layer.call, stack)
                self._through[key] = _asked(found[0]).through(found[1], call, self._away + 1)
        return self._through[key]

    def _followed(self, function: Function, given: _Given, cls: Class | None) -> Trace:
        """Returns what the result of a function of this file has passed."""
        names = [each.arg for each in function.parameters]
        if function.is_bound:
            names = names[1:]
        passed = dict(zip(names, given.args, strict=False))
        passed.update((name, each) for name, each in given.named if name in names)
        return self._follow(function, passed, cls)

    def _follow(self, function: Function, given: dict[str, Trace], cls: Class | None) -> Trace:
        if function in self._inside or len(self._inside) > _DEEPEST:
            self._run.cut.add(function)
            return _NOTHING
        given = {name: Trace(each.dropped) for name, each in given.items()}
        dropped = frozenset(each for each in given.items() if each[1] != _NOTHING)
        # A call in a loop, or of several Modules of one class, is followed once. The Modules around
        # matter where their options were asked for, the calls around where one is called again.
        always = (function, cls, dropped, self._without > 0)
        in_module = (*always, tuple(call for _, call in self.values.stack))
        here = (*in_module, *self._inside)
        constants, known = self.values.constants, None
        for key in (always, in_module, here):
            known = self._followed_before.get(key)
            if known is not None and (key is here or known.ran.isdisjoint(self._inside)):
                break
        else:
            before, self._run = self._run, _Run({function})
            depended, constants.depends = constants.depends, False
            self._run.passed = self._body(function, _State(cls, given))
            known, self._run = self._run, before
            known.cut.discard(function)
            known.depends, constants.depends = constants.depends, depended
            if not self.values.budget.is_spent:
                key = here if known.cut else in_module if known.depends else always
                self._followed_before[key] = known
        constants.depends |= known.depends
        self._run.ran |= known.ran
        self._run.cut |= known.cut
        return known.passed


@kept
def _asked(code: Code) -> Flow:
    return Flow(code)


@kept
def flow(code: Code) -> Flow:
    """Returns what the values of a file pass.

    Args:
        code: The file.
    """
    return Flow(code).read()


@kept
def _tests(code: Code, function: Function) -> frozenset[str]:
    """Returns the tests of a function, as text."""
    choices = code.inside(function.node, ast.If, ast.IfExp)
    return frozenset(one_line(code, each.test) for each in choices)


def _either(results: Sequence[Trace]) -> Trace:
    """Returns the trace of what may be any of some results."""
    return reduce(operator.or_, results) if results else _NOTHING


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


def _is_scale(expr: ast.expr) -> bool:
    """Whether an expression is a number that values are scaled by."""
    if isinstance(expr, ast.Constant):
        return isinstance(expr.value, (int, float))
    if isinstance(expr, ast.Call):
        func = expr.func
        holder = func.value if isinstance(func, ast.Attribute) else None
        return isinstance(holder, ast.Name) and holder.id in ("math", "np", "numpy")
    if isinstance(expr, ast.BinOp) and isinstance(expr.op, ast.Pow):  # d ** 0.5
        return isinstance(expr.right, (ast.Constant, ast.UnaryOp))
    return not _SCALES.isdisjoint(words(said_of(expr)))
