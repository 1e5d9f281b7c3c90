"""TD112: dropouts in a plain list, which `model.eval()` does not reach."""

from __future__ import annotations

import ast
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from ..code import FUNCTIONAL_ON, RNNS, Assigned, Call, Class, Code, Function
from ..findings import Edit, Fix
from ..reporting.findings import Severity
from ._dropouts import (
    BUILDERS,
    MOVES,
    builds,
    default_of,
    is_local_dropout,
    is_number,
    names_dropout,
    rates,
)
from ._rule import Hit, kept, rule

BROKEN = """\
from torch import nn


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.drops = [nn.Dropout(0.1) for _ in range(4)]

    def forward(self, x):
        for drop in self.drops:
            x = drop(x)
        return x
"""
FIXED = BROKEN.replace(
    "[nn.Dropout(0.1) for _ in range(4)]", "nn.ModuleList([nn.Dropout(0.1) for _ in range(4)])"
)
_PLAIN = (ast.List, ast.Tuple, ast.Dict, ast.ListComp, ast.DictComp)
_MAKERS = frozenset(("list", "tuple", "dict", "OrderedDict"))
_ADDERS = frozenset(("append", "extend", "insert", "update", "setdefault", "appendleft"))
_ONLY_OF_LISTS = frozenset(("sort", "copy", "index", "remove", "count", "clear", "reverse"))
_READERS = frozenset(
    ("len", "zip", "enumerate", "reversed", "range", "iter", "print", "isinstance", "sorted",
     "list", "tuple", "repr", "str", "id", "any", "all", "bool")
)  # fmt: skip
_OVERRIDDEN = ("train", "eval", "children", "named_children", "modules", "named_modules")
_REGISTERING = frozenset(("add_module", "register_module", "__setattr__", "_modules", "__dict__"))


@rule(
    "TD112",
    group="modules",
    broken=BROKEN,
    fixed=FIXED,
    evidence="namisan/mt-dnn#45; fairseq 0.12.2 examples/speech_recognition/models/"
    "w2l_conv_glu_enc.py:103",
)
def module_not_registered(code: Code) -> Iterator[Hit]:
    """A Module registers its dropouts; in a plain list, tuple or dict they stay in training mode.

    The rule looks for an attribute of a Module that is a Python list, tuple or dict to which the
    file adds dropouts, or Modules of the file that have one, and that never becomes a `ModuleList`,
    a `ModuleDict` or a `Sequential`.

    `Module.train`, `eval`, `to` and `state_dict` go through registered children. What is in a plain
    list is not registered: `model.eval()` does not reach it, and it drops in evaluation, too.

    To fix: `nn.ModuleList([...])` or `nn.ModuleDict({...})`.
    """
    loose = sorted(call.node.lineno for call in code.calls if _is_loose(code, call.node))
    for cls in code.classes:
        if not cls.is_module or any(cls.method(name) for name in _OVERRIDDEN):
            continue
        first, last = cls.node.lineno, cls.node.end_lineno
        if bisect_left(loose, first) == bisect_right(loose, last or first):
            continue
        if _registers(code, cls):
            continue
        for name, given in cls.attributes.items():
            if any(_is_container(code, each.value) for each in given):
                yield from _judge(code, cls, name, given)


def _is_loose(code: Code, call: ast.Call) -> bool:
    """Whether a call builds a dropout that is not directly an attribute."""
    if _is_dropout(code, call) is None:
        return False
    parent = next(code.parents(call))
    return not isinstance(parent, ast.Assign) or not isinstance(parent.targets[0], ast.Attribute)


def _judge(code: Code, cls: Class, name: str, given: list[Assigned]) -> Iterator[Hit]:
    attribute = _holder(code, cls.node, name, True)
    holders = [attribute]
    contents: list[ast.expr] = []
    followed: set[object] = set()
    for each in cls.assigned(name):
        if isinstance(each.node, ast.AugAssign):
            contents.append(each.node.value)
        elif isinstance(each.value, ast.Name) and each.function is not None:
            if code.bound(each.value) in followed:
                continue
            followed.add(code.bound(each.value))
            local = _holder(code, each.function.node, each.value.id, False)
            holders.append(local)
            contents += (v for v in code.assigned(each.value) if v is not None)
        elif each.value is not None and _is_container(code, each.value):
            contents.append(each.value)
        elif not _is_none(each.value):
            return  # it becomes something else, perhaps a `ModuleList`
    if any(holder.is_passed_on for holder in holders):
        return
    contents += (added for holder in holders for added in holder.added)
    found = [each for expr in contents for each in _dropouts(code, expr)]
    if not found:
        return
    severity: Severity = "error" if True in found else "advice"
    first = next(each for each in given if _is_container(code, each.value))
    assert first.value is not None
    kind = _kind(code, first.value)
    yield Hit(
        first.value,
        f"the dropouts in {name} are in a plain {kind}: eval() does not reach them, so they drop "
        "in eval too",
        f"make it an nn.Module{'Dict' if kind in ('dict', 'OrderedDict') else 'List'}",
        _fix(code, cls, attribute, contents),
        severity,
    )


def _is_container(code: Code, value: ast.expr | None, follow: bool = True) -> bool:
    """Whether a value is a plain list, tuple or dict, a sum of two, or a choice of two."""
    if isinstance(value, ast.Name):
        given = code.assigned(value) if follow else []
        known = [each for each in given if each is not None]
        return bool(known) and all(_is_container(code, each, follow=False) for each in known)
    branches = [value]
    while any(isinstance(each, ast.IfExp) for each in branches):
        branches = [
            branch
            for each in branches
            for branch in ((each.body, each.orelse) if isinstance(each, ast.IfExp) else (each,))
        ]
    # `[...] if p > 0 else None`
    lists = [each for each in branches if not _is_none(each)]
    return bool(lists) and all(map(_is_plain, lists))


def _is_none(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _is_plain(value: ast.expr | None) -> bool:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, ast.BinOp) and isinstance(each.op, (ast.Add, ast.Mult)):
            waiting += [each.right, each.left]
        elif isinstance(each, _PLAIN) or _makes(each):
            return True
    return False


def _makes(expr: ast.AST | None) -> bool:
    """Whether an expression is `list(...)`, `tuple(...)`, `dict(...)` or `OrderedDict(...)`."""
    return isinstance(expr, ast.Call) and _callee(expr) in _MAKERS


def _callee(call: ast.Call) -> str:
    """Returns the plain name that is called; "" if it is not one, or `collections.OrderedDict`."""
    if isinstance(call.func, ast.Attribute) and call.func.attr == "OrderedDict":
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _kind(code: Code, value: ast.expr) -> str:
    if isinstance(value, ast.IfExp):
        value = value.orelse if _is_none(value.body) else value.body
    if isinstance(value, ast.Name):
        value = next(v for v in code.assigned(value) if v is not None)
    if isinstance(value, ast.Call):
        return _callee(value)
    if isinstance(value, (ast.Dict, ast.DictComp)):
        return "dict"
    return "tuple" if isinstance(value, ast.Tuple) else "list"


def _is_dropout(code: Code, call: ast.Call) -> bool | None:
    """Whether a call builds a dropout: True, False if only its name says so, None if not.

    A layer that is given a rate, such as an LSTM, has one of its own.
    """
    while isinstance(call.func, ast.Attribute) and call.func.attr in MOVES:
        if not isinstance(call.func.value, ast.Call):
            break
        call = call.func.value  # nn.LSTM(8, 8, 2, dropout=0.1).to(device)
    given = _rates_of(code).get(call, ())
    if given and isinstance(call.func, (ast.Name, ast.Attribute)):
        known = [default_of(code, each) for each in given]
        if any(is_number(p) and p != 0 for p in known):
            return True
        return None if all(map(is_number, known)) else False
    if builds(code, call) or is_local_dropout(code, call):
        return True
    cls = code.local(call.func)
    if isinstance(cls, Class) and cls.is_surely_module and _holds_dropout(code, cls):
        return True
    name = code.name(call.func)
    return False if name is not None and names_dropout(name.rpartition(".")[2]) else None


@kept
def _rates_of(code: Code) -> Mapping[ast.Call, Sequence[ast.expr]]:
    """Returns the rates of the layers that have a dropout of their own, by the call."""
    found: dict[ast.Call, list[ast.expr]] = {}
    for call, parameter, given in rates(code):
        is_layer = (call.name or "").rpartition(".")[2][:1].isupper()
        if not is_layer or call.name in BUILDERS:
            continue
        is_between = call.name in RNNS and parameter == "dropout"  # its layers
        layers = call.argument("num_layers") if is_between else None
        if not is_between or (isinstance(layers, ast.expr) and code.value(layers) != 1):
            found.setdefault(call.node, []).append(given)
    return found


@kept
def _holds_dropout(code: Code, cls: Class) -> bool:
    """Whether a Module of this file has a dropout of its own, or one that sees its mode."""
    return any(
        builds(code, each.value)
        for one in cls.lineage()
        for given in one.attributes.values()
        for each in given
    ) or not _that_drop(code).isdisjoint(cls.lineage())


@kept
def _that_drop(code: Code) -> frozenset[Class]:
    """Returns the classes that call a functional dropout with their mode."""
    return frozenset(
        call.cls
        for call in code.calls
        if call.cls is not None and call.name in FUNCTIONAL_ON and _sees_mode(call)
    )


def _sees_mode(call: Call) -> bool:
    given = call.argument("training")
    return isinstance(given, ast.Attribute) and given.attr == "training"


def _dropouts(code: Code, expr: ast.expr) -> Iterator[bool]:
    """Yields, for each dropout built in a container, whether it surely is one."""
    waiting = [expr]
    while waiting:
        each = waiting.pop()
        if isinstance(each, ast.Call):
            is_sure = _is_dropout(code, each)
            if is_sure is not None:
                yield is_sure
            elif _callee(each) == "map" and each.args and isinstance(each.args[0], ast.Lambda):
                waiting.append(each.args[0].body)
            elif _makes(each):
                waiting += each.args
                waiting += [keyword.value for keyword in each.keywords]
        elif isinstance(each, ast.Name):
            waiting += _held_only_here(code, each)
        elif isinstance(each, (ast.List, ast.Tuple)):
            waiting += each.elts
        elif isinstance(each, ast.Dict):
            waiting += each.values
        elif isinstance(each, (ast.ListComp, ast.GeneratorExp)):
            waiting.append(each.elt)
        elif isinstance(each, (ast.DictComp, ast.Starred)):
            waiting.append(each.value)
        elif isinstance(each, ast.BinOp):
            waiting += [each.left, each.right]
        elif isinstance(each, ast.IfExp):
            waiting += [each.body, each.orelse]


def _held_only_here(code: Code, name: ast.Name) -> list[ast.expr]:
    """Returns the value of a local variable if nothing else in its function reads it."""
    function = code.function_of(name)
    given = [each for each in code.assigned(name) if isinstance(each, ast.Call)]
    if function is None or len(given) != 1:
        return []
    named = code.names_in(function.node).get(name.id, ())
    reads = [node for node in named if isinstance(node.ctx, ast.Load)]
    return list(given) if reads == [name] else []


def _registers(code: Code, cls: Class) -> bool:
    """Whether a class registers children by hand."""
    return any(node.attr in _REGISTERING for node in code.inside(cls.node, ast.Attribute)) or any(
        node.id == "setattr" for node in code.inside(cls.node, ast.Name)
    )


@kept
def _attributes_in(code: Code, scope: ast.AST) -> dict[str, list[ast.Attribute]]:
    """Returns the attributes of `self` below a node, by name."""
    found: dict[str, list[ast.Attribute]] = {}
    for node in code.inside(scope, ast.Attribute):
        if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            found.setdefault(node.attr, []).append(node)
    return found


class _Holder:
    """A name or an attribute of `self` that holds the container, and its uses in a scope."""

    def __init__(self, code: Code, scope: ast.AST, name: str, *, of_self: bool) -> None:
        self.code = code
        self.name = name
        self.of_self = of_self
        uses = _attributes_in(code, scope) if of_self else code.names_in(scope)
        self.uses = uses.get(name, ())

    def _is(self, node: ast.AST) -> bool:
        if self.of_self:
            return (
                isinstance(node, ast.Attribute)
                and node.attr == self.name
                and isinstance(node.value, ast.Name)
                and node.value.id in ("self", "cls")
            )
        return isinstance(node, ast.Name) and node.id == self.name

    def needs_list(self, use: ast.AST) -> bool:
        """Whether a use calls a method that a ModuleList lacks."""
        parent = next(self.code.parents(use))
        return isinstance(parent, ast.Attribute) and parent.attr in _ONLY_OF_LISTS

    @cached_property
    def added(self) -> tuple[ast.expr, ...]:
        """What is added to it later."""
        return tuple(self._additions())

    def _additions(self) -> Iterator[ast.expr]:
        for use in self.uses:
            parents = self.code.parents(use)
            parent = next(parents)
            if isinstance(parent, ast.Attribute) and parent.attr in _ADDERS:
                call = next(parents)
                if isinstance(call, ast.Call) and call.func is parent:
                    yield from call.args
            elif isinstance(parent, ast.Subscript) and isinstance(parent.ctx, ast.Store):
                statement = next(parents)
                if isinstance(statement, ast.Assign):
                    yield statement.value
            elif isinstance(parent, ast.AugAssign) and parent.target is use:
                yield parent.value

    @cached_property
    def is_passed_on(self) -> bool:
        """Whether it, or an element, is passed to something that may register it."""
        return any(map(self._passes, self.uses))

    def _passes(self, use: ast.AST) -> bool:
        node = use
        for parent in self.code.parents(use):
            if isinstance(parent, ast.Call) and parent.func is not node:
                if _callee(parent) not in _READERS:
                    return True
            elif isinstance(parent, (ast.For, ast.comprehension)) and parent.iter is node:
                return self._loop_passes(parent)
            elif isinstance(parent, (ast.Assign, ast.AnnAssign)) and parent.value is node:
                targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
                if all(map(self._is, targets)):
                    return False  # `self.drops = self.drops + [...]`
                # `self.drop = self.drops[0]` registers it; `drops = self.drops` may lead to that.
                return self.of_self or node is not use
            elif isinstance(parent, (ast.Return, ast.Yield)):
                return True
            elif isinstance(parent, ast.Attribute):
                if parent.attr not in ("values", "items"):
                    return False
            elif isinstance(parent, ast.Call):
                # `self.drops.values()` is followed, `self.drops[0](x)` is a result.
                if not isinstance(node, ast.Attribute):
                    return False
            elif isinstance(parent, ast.Subscript):
                if parent.value is not node:
                    return False
            elif not isinstance(parent, (ast.Starred, ast.BinOp, ast.keyword)):
                return False
            node = parent
        return False

    def _loop_passes(self, loop: ast.For | ast.comprehension) -> bool:
        """Whether a loop over it passes an element on, or sets its mode."""
        target = loop.target
        is_counted = isinstance(loop.iter, ast.Call) and _callee(loop.iter) == "enumerate"
        if is_counted and isinstance(target, ast.Tuple):
            target = target.elts[-1]  # the first is a number
        names = {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}
        body = loop if isinstance(loop, ast.For) else next(self.code.parents(loop))
        for node in self.code.inside(body, ast.Name):
            if node.id in names:
                parent = next(self.code.parents(node))
                if isinstance(parent, ast.Call) and node in parent.args:
                    return True
                if isinstance(parent, ast.keyword):
                    return True
                if isinstance(parent, ast.Attribute) and parent.attr in (
                    "train",
                    "eval",
                    "training",
                ):
                    return True
        return False


@kept
def _holder(code: Code, scope: ast.AST, name: str, of_self: bool) -> _Holder:
    return _Holder(code, scope, name, of_self=of_self)


def _fix(code: Code, cls: Class, held: _Holder, contents: list[ast.expr]) -> Fix | None:
    """Makes every list that the attribute is assigned an `nn.ModuleList`.

    None if one of them cannot be: a tuple, a list of other things than modules, one that is sorted
    or copied, one in the body of the class, or one that is made before `super().__init__()`.
    """
    called, name = _module_list(code, cls), held.name
    given = cls.assigned(name)
    if called is None or any(map(held.needs_list, held.uses)):
        return None
    if any(one is not cls and name in one.attributes for one in cls.lineage()):
        return None  # a base in this file has its own statements
    if not all(_may_hold_modules(code, each) for each in contents):
        return None
    edits: list[Edit] = []
    for each in given:
        if isinstance(each.node, ast.AugAssign):
            continue  # a ModuleList has `+=`, too
        if each.function is None or each.value is None or _is_early(code, each.node, each.function):
            return None
        lists = _lists(code, each.value, name, each.function)
        if lists is None:
            return None
        for start, end in map(code.span, lists):
            edits += [Edit(start, start, f"{called}("), Edit(end, end, ")")]
    # The keys of the state dict and the methods of the list change with it.
    return Fix("make it an nn.ModuleList", tuple(edits), safe=False) if edits else None


def _module_list(code: Code, cls: Class) -> str | None:
    """Returns a name for `torch.nn.ModuleList` that needs no new import."""
    for base in cls.node.bases:
        if isinstance(base, ast.Attribute) and code.name(base.value) == "torch.nn":
            return f"{code.text_of(base.value)}.ModuleList"
    return _imported_list(code)


@kept
def _imported_list(code: Code) -> str | None:
    found: dict[str, str] = {}
    for node in code.tree.body:
        names = node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        origin = node.module if isinstance(node, ast.ImportFrom) and not node.level else None
        for alias in names:
            known = alias.asname or alias.name
            whole = f"{origin}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name
            home = known if alias.asname or isinstance(node, ast.ImportFrom) else whole
            found.setdefault(whole, home)
    for whole in ("torch.nn.ModuleList", "torch.nn", "torch"):
        if whole in found:
            return found[whole] + "torch.nn.ModuleList".removeprefix(whole)
    return None


def _is_early(code: Code, node: ast.AST, function: Function) -> bool:
    """Whether a statement comes before `super().__init__()`, when nothing can be registered."""
    calls = _calls_of_init(code, function)
    return bool(calls) and code.span(node) < min(calls)


@kept
def _calls_of_init(code: Code, function: Function) -> list[tuple[int, int]]:
    """Returns where `__init__` is called in a function."""
    return [
        code.span(each)
        for each in code.inside(function.node, ast.Call)
        if isinstance(each.func, ast.Attribute) and each.func.attr == "__init__"
    ]


def _may_hold_modules(code: Code, expr: ast.expr) -> bool:
    """Whether what a list is given may all be modules: no numbers, functions or tuples."""
    waiting = [expr]
    while waiting:
        each = waiting.pop()
        if isinstance(each, (ast.List, ast.Tuple)):
            if any(isinstance(e, (ast.List, ast.Tuple, ast.ListComp)) for e in each.elts):
                return False
            waiting += each.elts
        elif isinstance(each, (ast.ListComp, ast.GeneratorExp)):
            if isinstance(each.elt, (ast.List, ast.Tuple, ast.ListComp, ast.Name)):
                return False
            waiting.append(each.elt)
        elif isinstance(each, ast.IfExp):
            waiting += [each.body, each.orelse]
        elif isinstance(each, ast.BinOp):
            waiting += [each.left, each.right]
        elif isinstance(each, ast.Starred):
            waiting.append(each.value)
        elif isinstance(each, ast.Constant):
            if each.value is not None:
                return False
        elif isinstance(each, (ast.Name, ast.Attribute)):
            if code.name(each) is not None or code.local(each) is not None:
                return False  # a function, or a class
        elif isinstance(each, (ast.Lambda, ast.Dict, ast.DictComp, ast.JoinedStr)):
            return False
    return True


def _lists(code: Code, value: ast.expr, name: str, function: Function) -> list[ast.expr] | None:
    """Returns the lists of an assigned value, each to be wrapped; None if there is another."""
    found: list[ast.expr] = []
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, ast.IfExp):
            waiting += [each.orelse, each.body]
        elif _is_grown(each, name):
            continue  # a ModuleList and a list make a ModuleList
        elif _is_list(code, each, function):
            found.append(each)
        elif not _is_none(each):
            return None
    return found


def _is_grown(value: ast.expr, name: str) -> bool:
    """Whether a value is the sum of the attribute and something."""
    return (
        isinstance(value, ast.BinOp)
        and isinstance(value.op, ast.Add)
        and isinstance(value.left, ast.Attribute)
        and value.left.attr == name
    )


def _is_list(code: Code, value: ast.expr, function: Function) -> bool:
    """Whether a value is a list, a sum that begins with one, or a name that only holds one."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, ast.BinOp) and isinstance(each.op, ast.Add):
            waiting.append(each.left)
        elif isinstance(each, ast.IfExp):
            waiting += [each.body, each.orelse]
        elif not _is_one_list(code, each, function):
            return False
    return True


def _is_one_list(code: Code, value: ast.expr, function: Function) -> bool:
    if isinstance(value, ast.Name):
        held = code.assigned(value)
        lists = [each for each in held if each is not None]
        return (
            len(lists) == len(held)
            and all(_kind(code, each) == "list" for each in lists)
            and _last_line(code, function, value.id) <= value.lineno
        )
    return isinstance(value, (ast.List, ast.ListComp)) or (
        isinstance(value, ast.Call) and _callee(value) == "list"
    )


@kept
def _last_line(code: Code, function: Function, name: str) -> int:
    """Returns the last line of a function that mentions a name."""
    return max((node.lineno for node in code.names_in(function.node).get(name, ())), default=0)
