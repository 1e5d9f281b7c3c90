"""What an expression builds: layers, sequences and lists of them, and Modules of the file."""

from __future__ import annotations

import ast
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby, islice

from ..code import Call, Class, Code, Function, Pattern
from ..code.nodes import dotted, is_init_of_super, of_self, said_of
from ._constants import Stack, calls_of, constants
from ._dropouts import MOVES, around
from ._layers import Layer, calls, layer_of
from ._rule import kept
from ._turns import is_among, last_turns

_DEEPEST = 40  # names that stand for names, functions that call functions, lists in lists
_MOST_STEPS = 40_000  # statements and expressions of one file, or more in a longer one
_MOST_ALIKE = 12  # values that one expression may have
_MOST_PARTS = 200  # of one list
_MOST_BINDINGS = 50  # of one name
LOOPS = (ast.For, ast.AsyncFor, ast.While)
_COMPREHENSIONS = (ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp)
_ADDERS = frozenset(("append", "extend", "add_module", "register_module", "update"))
_LISTS = frozenset(("torch.nn.ModuleList", "torch.nn.ModuleDict"))
_SEQUENTIAL = "torch.nn.Sequential"
# What returns a Module that it is given, or a list with the same elements.
_SAME = frozenset(
    ("list", "tuple", "iter", "reversed", "dict", "filter", "sorted", "OrderedDict", "deepcopy")
    + ("weight_norm", "spectral_norm", "DataParallel", "compile", "script", "remove_weight_norm")
    + ("DistributedDataParallel", "chain", "checkpoint_wrapper")
)


@dataclass(frozen=True, eq=False)
class Made:
    """A Module of the file.

    Attributes:
        cls: Its class.
        call: The call that builds it.
    """

    cls: Class
    call: Call


@dataclass(frozen=True, eq=False)
class Listed:
    """A list or a dict of Modules, or a `Sequential`.

    Attributes:
        parts: Its elements.
        is_chain: Whether a call applies one after the other.
    """

    parts: tuple[Part, ...]
    is_chain: bool = False


@dataclass(frozen=True, eq=False)
class Maker:
    """A class or a function that has not been called.

    Attributes:
        name: Its qualified name; empty for one of the file.
        target: That of the file.
    """

    name: str = ""
    target: Class | Function | ast.Lambda | None = None


Value = Layer | Made | Listed | Maker


@dataclass(frozen=True, eq=False)
class Part:
    """An element of a list.

    Attributes:
        options: What it may be.
        key: Its key.
        loops: The loops that add it, outermost first.
        may_lack: Whether an option may leave it out.
        node: The expression that adds it.
    """

    options: tuple[Value, ...]
    key: Pattern | None = None
    loops: tuple[ast.AST, ...] = ()
    may_lack: bool = False
    node: ast.expr | None = None


@dataclass(frozen=True, eq=False)
class _Growth:
    """A place that adds to a list.

    Attributes:
        node: The place.
        how: The method, or `set` for `layers[key] = layer`.
        value: What is added.
        key: The key, or the index.
    """

    node: ast.expr | ast.stmt
    how: str
    value: ast.expr
    key: ast.expr | None = None


class Budget:
    """The work that one file may cost: statements and expressions that are followed.

    Where it is spent, the report says that the file was not read to its end.
    """

    def __init__(self, code: Code) -> None:
        self._code = code
        self._most = max(_MOST_STEPS, 3 * code.size)
        self._steps = 0

    def spend(self, steps: int = 1) -> bool:
        """Whether there is enough left for some steps, which are taken from it."""
        self._steps += steps
        if self.is_spent:
            self._code.cut("statements and expressions that are followed", self._most)
        return not self.is_spent

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self._steps > self._most

    def refill(self) -> None:
        """Allows for as many steps again, on behalf of another file."""
        self._steps = 0


class Values:
    """Finds what the expressions of a file build.

    Attributes:
        stack: The Modules that are read, innermost first.
    """

    def __init__(self, code: Code) -> None:
        self.code = code
        self._known: dict[Hashable, tuple[Value, ...]] = {}
        self.constants = constants(code)
        self.stack: Stack = ()
        self._depth = 0
        self.budget = Budget(code)
        self._growths: dict[tuple[Function | None, str], list[_Growth]] = {}
        self._index()

    def of(self, expr: ast.expr, cls: Class | None) -> tuple[Value, ...]:
        """Returns what an expression may build.

        Args:
            expr: An expression.
            cls: The class whose attributes `self` has.
        """
        key, known = (expr, cls), self._known
        is_new = key not in known and (key, self.stack) not in known
        if is_new and (self._depth > _DEEPEST or not self.budget.spend()):
            return ()
        self._depth += 1
        found = self.constants.kept(known, key, self.stack, (), lambda: self._all(expr, cls))
        self._depth -= 1
        return found

    def _all(self, expr: ast.expr, cls: Class | None) -> tuple[Value, ...]:
        return tuple(dict.fromkeys(islice(self._of(expr, cls), _MOST_ALIKE)))

    @contextmanager
    def within(self, made: Made) -> Iterator[None]:
        """Reads the parameters of a Module's `__init__` as the call that builds it gives them.

        Elsewhere they are what any call of the class gives.

        Args:
            made: The Module.
        """
        before = self.stack
        self.stack = ((made.cls, made.call), *before)
        yield
        self.stack = before

    def is_always(self, expr: object, value: object) -> bool:
        """Whether an expression is surely a value in the Module that is read."""
        return self.constants.is_always(expr, (value,), self.stack)

    def truth(self, test: ast.expr) -> bool | None:
        """Returns whether a test holds in the Module that is read; None if it is not known."""
        return self.constants.truth(test, self.stack)

    def sides(self, expr: ast.IfExp) -> list[ast.expr]:
        """Returns the sides of a choice that the Module that is read may take."""
        holds = self.truth(expr.test)
        return [expr.body] * (holds is not False) + [expr.orelse] * (holds is not True)

    def _runs(self, node: ast.AST) -> bool:
        """Whether a statement may run in the Module that is read."""
        return self.constants.runs(node, self.stack)

    def finished(self, call: Call) -> Sequence[Value]:
        """Returns what a call builds, with what is added to the attribute that it is given to."""
        parent = next(self.code.parents(call.node), None)
        target = parent.targets[0] if isinstance(parent, ast.Assign) else None
        if call.cls is not None and of_self(target):
            return [*self.attribute(call.cls, of_self(target))]
        return self.of(call.node, call.cls)

    def attribute(self, cls: Class, name: str) -> Iterator[Value]:
        """Yields what an attribute of a Module of the file may be."""
        for given in islice(cls.assigned(name), _MOST_ALIKE):
            if given.value is None or _adds_to(given.value, f"self.{name}"):
                continue
            if self._runs(given.node):
                for value in self.of(given.value, cls):
                    yield self._grown_attribute(value, cls, name)

    def picked(self, values: Iterable[Value], key: ast.expr) -> Iterator[Value]:
        """Yields what an index or a key takes out of lists."""
        place = self.code.value(key)
        pattern = self.code.pattern(key)
        for value in values:
            if not isinstance(value, Listed):
                continue
            if isinstance(key, ast.Slice):
                yield value
                continue
            parts: Sequence[Part] = value.parts
            if isinstance(place, int) and not isinstance(place, bool):
                # What a loop or an option adds before it, or behind, would move an element.
                counted = parts[: place + 1] if place >= 0 else parts[place:]
                is_sure = not any(each.loops or each.may_lack for each in counted)
                if is_sure and -len(parts) <= place < len(parts):
                    parts = (parts[place],)
                elif len({_sort(each) for part in parts for each in part.options}) > 1:
                    continue
            elif pattern is not None:
                parts = [each for each in parts if each.key is None or pattern.matches(each.key)]
            for part in parts:
                yield from part.options

    def chain_of(self, cls: Class) -> Listed | None:
        """Returns the layers of a class of the file that is a `Sequential`."""
        if not self.code.is_sequential(cls):
            return None
        one = next((one for one in cls.lineage() if "__init__" in one.methods), None)
        if one is None:
            return Listed((), is_chain=True)
        inits = [e for e in self.code.inside(one.node, ast.Call) if is_init_of_super(e.func)]
        given = [each for call in inits for each in call.args]
        parts = [part for each in given for part in self._given(each, cls)]
        init = one.methods["__init__"]
        return Listed(tuple(self._grown(parts, init, "self", cls, None, None)), is_chain=True)

    # --- Expressions ----------------------------------------------------------------------------

    def _of(self, expr: ast.expr, cls: Class | None) -> Iterator[Value]:
        if isinstance(expr, ast.Call):
            yield from self._called(expr, cls)
        elif isinstance(expr, ast.Name):
            yield from self._name(expr, cls)
        elif isinstance(expr, ast.Attribute):
            name = self.code.name(expr)
            if name is not None:
                yield Maker(name)
            elif of_self(expr) and cls is not None:
                method = cls.method(expr.attr)
                if method is not None:
                    yield Maker(target=method)
                yield from self.attribute(cls, expr.attr)
        elif isinstance(expr, ast.Subscript):
            yield from self.picked(self.of(expr.value, cls), expr.slice)
        elif isinstance(expr, ast.IfExp):
            for each in self.sides(expr):
                yield from self.of(each, cls)
        elif isinstance(expr, ast.Lambda):
            yield Maker(target=expr)
        elif isinstance(expr, (ast.List, ast.Tuple, ast.Dict, ast.BinOp, *_COMPREHENSIONS)):
            parts = self._elements(expr, cls)
            if parts or isinstance(expr, (ast.List, ast.Dict)):
                yield Listed(tuple(parts))

    def _name(self, name: ast.Name, cls: Class | None) -> Iterator[Value]:
        known = self.code.name(name)
        if known is not None:
            yield Maker(known)
            return
        target = self.code.local(name)
        if target is not None:
            yield Maker(target=target)
            return
        function = self.code.function_of(name)
        for holder in around(self.code, function):
            if name.id in holder.names:
                yield from self._parameter(holder, name.id)
                break
        for node, until in self._live(name):
            if isinstance(node, ast.expr):
                if _adds_to(node, name.id) or not self._runs(node):
                    continue
                for value in self.of(node, cls):
                    if isinstance(value, Listed):
                        parts = [*value.parts]
                        grown = self._grown(parts, function, name.id, cls, node, until)
                        value = replace(value, parts=tuple(grown))
                    yield value
            elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
                for one, parts in self.walked(node.target, self.iterated(node.iter, cls)):
                    if one == name.id:
                        for part in parts:
                            yield from part.options

    def _live(self, name: ast.Name) -> Iterator[tuple[ast.AST, ast.AST | None]]:
        """Yields what a name is bound to where it is used, each with where that is read."""
        bindings = [b for b in self.code.bindings(name) if b.kind in ("value", "other")]
        if not bindings or len(bindings) > _MOST_BINDINGS:
            return
        if self.code.function_of(bindings[0].node) is not self.code.function_of(name):
            for each in bindings[:_MOST_ALIKE]:
                yield each.node, None
            return
        place = _start(name)
        before = [b.node for b in bindings if _start(b.node) < place]
        above = {*self.code.parents(name)}
        last = 0
        for at, node in enumerate(before):
            is_growing = isinstance(node, ast.AugAssign) or (
                isinstance(node, ast.expr) and _adds_to(node, name.id)
            )
            around_it = (node, *self.code.parents(node))
            statement = next((each for each in around_it if isinstance(each, ast.stmt)), node)
            if not is_growing and next(self.code.parents(statement), None) in above:
                last = at  # whatever was before, it is this now
        for node in (before[last:] or [b.node for b in bindings])[:_MOST_ALIKE]:
            yield node, name

    def _parameter(self, function: Function, name: str) -> Iterator[Value]:
        """Yields what the calls of a function in the file give a parameter, or its default."""
        calls = calls_of(self.code).get(function, [])
        if function.name == "__init__":
            self.constants.depends = True
            calls = [call for cls, call in self.stack if cls is function.cls][:1] or calls
        for call in calls[:_MOST_ALIKE]:
            given = function.given(call, name)
            if isinstance(given, ast.expr):
                yield from self.of(given, call.cls)
        default = function.defaults.get(name)
        if not calls and default is not None:
            yield from self.of(default, function.cls)

    def _called(self, call: ast.Call, cls: Class | None) -> Iterator[Value]:
        func = call.func
        known = calls(self.code)[call]
        name = known.name or ""
        last = name.rpartition(".")[2]
        said = said_of(func)
        if name == _SEQUENTIAL or name in _LISTS:
            read = self._elements if name in _LISTS else self._given
            parts = [part for argument in call.args for part in read(argument, cls)]
            yield Listed(tuple(parts[:_MOST_PARTS]), is_chain=name == _SEQUENTIAL)
        elif last in _SAME or (not name and said in _SAME):
            found = [each for argument in call.args[:2] for each in self.of(argument, cls)]
            yield from found or [Listed(())] * (said in ("list", "dict", "OrderedDict"))
        elif "partial" in (last, said):
            yield from self.of(call.args[0], cls) if call.args else ()
        elif said == "getattr":  # what it returns is not known, apart from `getattr(nn, kind)`
            if call.args and self.code.name(call.args[0]) == "torch.nn":
                yield Maker("torch.layer")
        elif isinstance(func, ast.Attribute) and func.attr in MOVES:
            yield from self.of(func.value, cls)
        elif name:
            yield layer_of(self.code, call, name, known)
        else:
            makers = self.of(func, cls)
            for maker in makers:
                yield from self._made(maker, call, known, cls)
            if not makers:
                yield Layer(call, "", known)

    def _made(
        self, maker: Value, call: ast.Call, known: Call, cls: Class | None
    ) -> Iterator[Value]:
        """Yields what a call of a class or function builds."""
        if not isinstance(maker, Maker):
            return
        if maker.name:
            named = replace(known, name=maker.name)
            yield layer_of(self.code, call, maker.name, named)
        elif isinstance(maker.target, Class):
            yield Made(maker.target, known)
        elif isinstance(maker.target, ast.Lambda):
            yield from self.of(maker.target.body, cls)
        elif isinstance(maker.target, Function):
            for each in _results(self.code, maker.target)[:_MOST_ALIKE]:
                yield from self.of(each, cls if maker.target.cls else None)

    # --- Lists ----------------------------------------------------------------------------------

    def _given(self, expr: ast.expr, cls: Class | None) -> list[Part]:
        """Returns the layers that an argument of a `Sequential` stands for."""
        if isinstance(expr, ast.Starred):
            found = self._elements(expr.value, cls)
            is_known = found or isinstance(expr.value, (ast.List, ast.Tuple))
            return found if is_known else [Part((Layer(expr.value),), node=expr.value)]
        options = self.of(expr, cls)
        listed = [each for each in options if isinstance(each, Listed) and not each.is_chain]
        if listed:  # an OrderedDict
            return [part for each in listed[:1] for part in each.parts]
        return [Part(options or (Layer(expr),), node=expr)]

    def _elements(self, expr: ast.expr, cls: Class | None) -> list[Part]:
        """Returns the elements of a list."""
        if self._depth > _DEEPEST:
            return []
        self._depth += 1
        found = self._read(expr, cls)
        self._depth -= 1
        return found

    def _read(self, expr: ast.expr, cls: Class | None) -> list[Part]:
        if isinstance(expr, (ast.List, ast.Tuple)):
            found: list[Part] = []
            for each in expr.elts[:_MOST_PARTS]:
                if isinstance(each, ast.Starred):
                    found += self._elements(each.value, cls)
                elif not isinstance(each, ast.Constant):
                    found.append(self._element(each, cls))
            return found
        if isinstance(expr, ast.Dict):
            pairs = zip(expr.keys, expr.values, strict=True)
            return [
                replace(self._element(value, cls), key=self.code.pattern(key))
                for key, value in islice(pairs, _MOST_PARTS)
            ]
        if isinstance(expr, ast.BinOp):
            left = self._elements(expr.left, cls)
            if isinstance(expr.op, ast.Mult):
                parts = left or self._elements(expr.right, cls)
                return [replace(each, loops=(expr, *each.loops)) for each in parts]
            return [*left, *self._elements(expr.right, cls)]
        if isinstance(expr, ast.IfExp):
            sides = (expr.body, expr.orelse)
            parts = [part for each in sides for part in self._elements(each, cls)]
            return [replace(part, may_lack=True) for part in parts]
        if isinstance(expr, _COMPREHENSIONS):
            elt = expr.value if isinstance(expr, ast.DictComp) else expr.elt
            key = self.code.pattern(expr.key) if isinstance(expr, ast.DictComp) else None
            last = expr.generators[-1]
            names = [each.id for each in ast.walk(last.target) if isinstance(each, ast.Name)]
            if isinstance(elt, ast.Name) and names == [elt.id]:
                # `[m for m in layers if m is not None]` has the elements of the list
                parts = self._elements(last.iter, cls)
                loops = (expr,) if len(expr.generators) > 1 else ()
                return [replace(each, loops=(*loops, *each.loops)) for each in parts]
            options = self.of(elt, cls)
            return [Part(options, key, (expr,), node=elt)] if options else []
        for value in self.of(expr, cls):
            if isinstance(value, Listed):
                return [*value.parts]
        return []

    def _element(self, expr: ast.expr, cls: Class | None) -> Part:
        """Returns one element; of a pair of a name and a layer, the layer."""
        if isinstance(expr, ast.Tuple) and len(expr.elts) == 2:
            key = self.code.pattern(expr.elts[0])
            if key is not None:
                return Part(self.of(expr.elts[1], cls), key, node=expr.elts[1])
        options = self.of(expr, cls) or (Layer(expr),)
        return Part(options, node=expr)

    def iterated(self, expr: ast.expr, cls: Class | None) -> list[Part]:
        """Returns the elements that a loop walks; for a zip, none."""
        said = said_of(getattr(expr, "func", None))
        if isinstance(expr, ast.Call) and said in ("enumerate", "zip", "items", "named_children"):
            if said in ("items", "named_children"):
                inner = [self._elements(expr, cls)]
            else:
                inner = [self.iterated(each, cls) for each in expr.args]
            paired = Part(tuple(Listed(tuple(each)) for each in inner))
            if said != "zip":
                return [replace(paired, options=(Listed(()), *paired.options))]
            return [paired]
        return self._elements(expr, cls)

    def walked(self, target: ast.expr, parts: Sequence[Part]) -> Iterator[tuple[str, list[Part]]]:
        """Yields the names that a loop binds, each with the elements that it takes.

        Args:
            target: The target of the loop.
            parts: The elements.
        """
        if isinstance(target, ast.Name):
            yield target.id, [*parts]
        elif isinstance(target, (ast.Tuple, ast.List)):
            paired = len(parts) == 1 and parts[0].key is None and not parts[0].loops
            lists = parts[0].options if paired else ()
            if len(lists) == len(target.elts) and all(isinstance(e, Listed) for e in lists):
                for one, listed in zip(target.elts, lists, strict=True):
                    assert isinstance(listed, Listed)
                    yield from self.walked(one, listed.parts)
                return
            for at, one in enumerate(target.elts):
                found = [
                    replace(each.parts[at], loops=part.loops)
                    for part in parts
                    for each in part.options
                    if isinstance(each, Listed) and at < len(each.parts)
                ]
                yield from self.walked(one, found)

    def unrolled(self, parts: Sequence[Part], level: int = 0) -> list[Part]:
        """Returns the elements in order, those of each loop twice.

        If the last turn of a loop differs, there are two others and the last.
        """
        found: list[Part] = []
        for at, loop in _runs(parts, level):
            if loop is None or len(found) > _MOST_PARTS:
                found += at
                continue
            body = loop.body if isinstance(loop, LOOPS) else ()
            only, others = [*last_turns(body)], [*last_turns(body, is_last=False)]
            for turn in range(3 if only or others else 2):
                absent = others if turn == 2 else only
                left = [each for each in at if not is_among(each.node, absent)]
                found += self.unrolled(left, level + 1)
        return found[:_MOST_PARTS]

    # --- Lists that grow ------------------------------------------------------------------------

    def _index(self) -> None:
        for call in self.code.calls:
            func, node = call.node.func, call.node
            if isinstance(func, ast.Attribute) and func.attr in _ADDERS and node.args:
                key = node.args[0] if len(node.args) > 1 else None
                self._grows(func.value, _Growth(node, func.attr, node.args[-1], key))
        for each in self.code.inside(self.code.tree, ast.Assign, ast.AugAssign):
            to = each.target if isinstance(each, ast.AugAssign) else each.targets[0]
            if isinstance(each, ast.AugAssign):
                if isinstance(each.op, ast.Add):
                    self._grows(to, _Growth(each, "extend", each.value))
            elif isinstance(to, ast.Subscript):
                self._grows(to.value, _Growth(each, "set", each.value, to.slice))
            elif isinstance(each.value, ast.BinOp) and _adds_to(each.value, dotted(to)):
                self._grows(to, _Growth(each, "extend", each.value.right))
        for listed in self._growths.values():
            listed.sort(key=lambda growth: _start(growth.node))
        self._grown_places = {place for _, place in self._growths}

    def _grows(self, target: ast.expr, growth: _Growth) -> None:
        """Records what is added to a name or an attribute."""
        if dotted(target):
            key = (self.code.function_of(growth.node), dotted(target))
            self._growths.setdefault(key, []).append(growth)

    def _grown_attribute(self, value: Value, cls: Class, name: str) -> Value:
        if not isinstance(value, Listed) or f"self.{name}" not in self._grown_places:
            return value
        parts = [*value.parts]
        methods = [m for one in cls.lineage() for m in one.methods.values()]
        self.budget.spend(len(methods))
        for method in sorted(methods, key=lambda method: method.name != "__init__"):
            parts = self._grown(parts, method, f"self.{name}", cls, None, None)
        return replace(value, parts=tuple(parts))

    def _grown(
        self,
        parts: list[Part],
        function: Function | None,
        place: str,
        cls: Class | None,
        since: ast.AST | None,
        until: ast.AST | None,
    ) -> list[Part]:
        """Returns a list with what a function adds to it between two places."""
        # The loops and options around the list itself are not those of its elements.
        above = {*self.code.parents(since)} if since is not None else set()
        parts = [*parts]
        for each in self._growths.get((function, place), ())[:_MOST_PARTS]:
            start = _start(each.node)
            if since is not None and start < _start(since):
                continue
            if (until is not None and start > _start(until)) or not self._runs(each.node):
                continue
            loops, may_lack = self._around(each.node, above)
            if each.how in ("extend", "update"):
                added = self._elements(each.value, cls)
            else:
                added = [self._element(each.value, cls)]
            key = self.code.pattern(each.key)
            for one in added:
                inside, may_be_absent = (*loops, *one.loops), may_lack or one.may_lack
                parts.append(Part(one.options, one.key or key, inside, may_be_absent, one.node))
        return parts[:_MOST_PARTS]

    def _around(self, node: ast.AST, above: set[ast.AST]) -> tuple[tuple[ast.AST, ...], bool]:
        """Returns the loops around a node, outermost first, and whether an option is."""
        loops: list[ast.AST] = []
        is_option = False
        for parent in self.code.parents(node):
            if parent in above or isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef)):
                break
            if isinstance(parent, (*LOOPS, *_COMPREHENSIONS)):
                loops.append(parent)
            elif isinstance(parent, ast.If):
                is_option |= self.truth(parent.test) is None
            is_option |= isinstance(parent, ast.IfExp)
        return tuple(reversed(loops)), is_option


@kept
def _results(code: Code, function: Function) -> list[ast.expr]:
    """Returns what a function returns."""
    found = (e for e in code.inside(function.node, ast.Return) if code.function_of(e) is function)
    return [each.value for each in found if each.value is not None]


def _adds_to(value: ast.expr, place: str) -> bool:
    """Whether a value is a list with more at its end: `layers + [...]`."""
    return (
        isinstance(value, ast.BinOp)
        and isinstance(value.op, ast.Add)
        and dotted(value.left) == place
    )


def _sort(value: Value) -> object:
    """Returns what elements of one sort have in common."""
    if isinstance(value, Layer):
        return value.name
    return value.cls if isinstance(value, Made) else type(value)


def _runs(parts: Sequence[Part], level: int) -> Iterator[tuple[list[Part], ast.AST | None]]:
    """Yields the elements that one loop adds, with that loop, and those that none does."""
    for loop, run in groupby(parts, lambda part: (*part.loops[level:], None)[0]):
        yield [*run], loop


def _start(node: ast.AST) -> tuple[int, int]:
    if isinstance(node, ast.comprehension):
        node = node.target
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)
