"""TD131: the dropout of an RNN with one layer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from ..code import RNNS, UNKNOWN, Call, Code, Function, words
from ..reporting.findings import Severity
from ._bases import bases_of_project
from ._constants import ByDefault, Constants, Stack, calls_of
from ._dropouts import default_of, is_number, is_refused, one_of
from ._options import is_settings, option_default, option_of, option_values
from ._rule import Hit, kept, rule

BROKEN = """\
from torch import nn

rnn = nn.LSTM(8, 16, dropout=0.5)
"""
FIXED = BROKEN.replace("16, ", "16, num_layers=2, ")
_KINDS = re.compile(r"(?i)rnn|lstm|gru|cell")
_Known = Literal["surely", "by its callers", "by default", ""]

_SIZES = 2  # arguments that every RNN needs
# Words of a number of layers.
_COUNTS = frozenset(("layers", "layer", "depth", "n", "num", "nlayers", "training", "blocks"))


@rule(
    "TD131",
    group="modules",
    broken=BROKEN,
    fixed=FIXED,
    evidence="pytorch#5985; pyro#1415; pytorch-forecasting#2172; nemo "
    "collections/audio/models/maxine/bnr.py:78",
)
def rnn_dropout_without_effect(code: Code) -> Iterator[Hit]:
    """An RNN with dropout has more than one layer.

    The rule looks for `nn.RNN`, `nn.LSTM` or `nn.GRU`, or one of torchdropout's, with a dropout
    above 0 and one layer, which is the default. The class may also be one of several: chosen by
    name, from a dict or by all callers, or built by a function that passes its `**options` on. The
    number of layers is followed through names, `**options`, the calls of the file and what a base
    in another file stores.

    It is advice in three cases. First, there is surely one layer, and the rate is not known.
    Second, all calls in other files of the project ask for one layer, and not all for a rate of 0;
    a file that only loads the weights of a model trained elsewhere does not count. Third, only
    defaults say that there is one layer and that the rate is above 0: defaults of parameters, or of
    options (`add_argument`, a dataclass, a class such as `Config`, `config = {"layers": 1}`,
    `args.layers = 1`, `config.get("layers", 1)`). Options are looked up in this file and its
    imports, in files that import this one and their imports, or else in all programs of the
    project.

    Nothing is reported if the number of layers is not known, if two places give different ones, or
    if a test looks at it.

    The dropout of an RNN acts between its layers, on the output of each but the last. With one
    layer it acts nowhere; torch warns once, when the module is built. Another dropout of the same
    rate next to the RNN does not change this, and the RNN is reported all the same. Code that
    allows for one layer says `dropout=p if layers > 1 else 0`, which is not reported.

    To fix: give it no dropout, and drop its output if nothing does, or use more layers.
    """
    for call in map(partial(_as_rnn, code), code.calls):
        if call.name not in RNNS:
            continue
        layers = call.argument("num_layers")
        known = "surely" if layers is None else _one(code, layers)
        given = call.argument("dropout")
        if not known or not isinstance(given, ast.expr) or is_refused(code, call.node):
            continue
        severity = _severity(code, given)
        values = _counts(code).of(given)
        is_asked = isinstance(layers, ast.expr) and not is_number(code.value(layers))
        if values == {0} and is_asked:
            continue  # no call of the file gives a rate, nor more layers
        if known == "by its callers" and severity is not None:
            # Callers outside the project may ask for more layers.
            severity = "advice" if any(map(_may_act, values)) else None
        if known == "by default":
            is_by_default = severity is not None and _acts_by_default(code, given)
            severity = "advice" if is_by_default else None
        if severity is None or (severity == "advice" and code.is_test):
            continue
        kind = call.name.rpartition(".")[2]
        one = "has one layer"
        if known == "by default":
            one = "has one layer unless the caller asks for more"
        elif known == "by its callers":
            one = "has one layer wherever the project builds it"
        yield Hit(
            given,
            f"the dropout of {kind} acts between its layers, and this one {one}: it has no effect",
            "give it no dropout, and drop its output if nothing does, or use more layers",
            severity=severity,
        )


def _as_rnn(code: Code, call: Call) -> Call:
    """Returns a call with the name of an RNN where one of several RNNs is called.

    They have the same arguments: `getattr(nn, kind)(...)`, `cell = nn.LSTM if gated else nn.RNN`.
    """
    if call.name in RNNS or not _gives_rate(call):
        return call
    func = call.node.func
    name: str | None = None
    made = _function(code, call)
    if made is not None:
        name = _passed_on(made[0]).get(made[1]) if len(call.node.args) <= _SIZES else None
    elif call.name is None:
        name = _base(code, call) or _class(code, call.node, func) or _given_class(code, call, func)
    return call if name is None else replace(call, name=name)


def _function(code: Code, call: Call) -> tuple[Code, Function] | None:
    """Returns the function that a call runs, of this file or another, with its file."""
    found = code.local(call.node.func)
    if found is None and call.name is not None and code.project is not None:
        there = code.project.find(code, call.name)
        code, found = (code, None) if there is None else (there.code, there.target)
    return (code, found) if isinstance(found, Function) else None


def _base(code: Code, call: Call) -> str | None:
    """Returns the RNN that a class derives from, where it builds it: `super().__init__(...)`."""
    func = call.node.func
    if not isinstance(func, ast.Attribute) or func.attr != "__init__" or call.cls is None:
        return None
    bases = [code.name(each) for each in call.cls.node.bases]
    holder = func.value.func if isinstance(func.value, ast.Call) else None
    is_super = isinstance(holder, ast.Name) and holder.id == "super"
    return bases[0] if is_super and len(bases) == 1 and bases[0] in RNNS else None


def _class(code: Code, place: ast.AST, func: ast.expr) -> str | None:
    """Returns the RNN that an expression stands for, or one of those that it may."""
    named = code.assigned(func) if isinstance(func, ast.Name) else ()
    if len(named) == 1 and isinstance(named[0], (ast.Call, ast.Subscript)):
        func = named[0]  # cell = getattr(nn, kind)
    if isinstance(func, (ast.Call, ast.Subscript)) and _is_of_torch(code, func):
        said = code.text_of(func)
        parent = next(code.parents(place), None)
        if isinstance(parent, ast.Assign):
            said += " " + code.text_of(parent.targets[0])
        return "torch.nn.RNN" if _KINDS.search(said) else None
    return one_of(code, func, RNNS)


def _given_class(code: Code, call: Call, func: ast.expr) -> str | None:
    """Returns the RNN that all calls of a function give it, or that a base elsewhere holds."""
    names: set[str | None] = set()
    function = call.function
    if function is not None and isinstance(func, ast.Name) and func.id in function.names:
        calls = [(code, each) for each in calls_of(code).get(function, ())]
        for file, each in [*calls, *_calls_elsewhere(code, function)]:
            given = function.given(each, func.id)
            if not isinstance(given, ast.expr):
                return None
            names.add(file.name(given) or _class(file, given, given))
    elif call.cls is not None and isinstance(func, ast.Attribute) and not code.assigned(func):
        for file, base in bases_of_project(code, call.cls) or ():
            held = base.attributes.get(func.attr, ())
            names |= {file.name(each.value) if each.value else None for each in held}
    return min(map(str, names)) if names and names.issubset(RNNS) else None


def _is_of_torch(code: Code, expr: ast.Call | ast.Subscript) -> bool:
    """Whether an expression takes a class of torch.nn by its name.

    `getattr(nn, kind)`, `nn.__dict__[kind]`, `eval("nn." + kind)`.
    """
    if isinstance(expr, ast.Subscript):
        held = expr.value
        is_all = isinstance(held, ast.Attribute) and held.attr == "__dict__"
        return is_all and code.name(held.value) == "torch.nn"  # type: ignore[attr-defined]
    said = expr.func.id if isinstance(expr.func, ast.Name) else ""
    if said == "getattr" and len(expr.args) == _SIZES:
        return code.name(expr.args[0]) == "torch.nn"
    text = code.pattern(expr.args[0]) if said == "eval" and expr.args else None
    return text is not None and text.start.startswith(("nn.", "torch.nn."))


@kept
def _passed_on(code: Code) -> Mapping[Function, str]:
    """Returns the functions that give an RNN their `**options`: `def LSTM(size, hidden, **kw)`."""
    found: dict[Function, list[str]] = {}
    for call in code.calls:
        function = call.function
        rest = None if function is None else function.node.args.kwarg
        if function is None or rest is None or function.cls is not None:
            continue
        name = call.name if call.name in RNNS else _class(code, call.node, call.node.func)
        passed = [k.value for k in call.node.keywords if k.arg is None]
        is_all = len(passed) == 1 and isinstance(passed[0], ast.Name)
        is_all = is_all and passed[0].id == rest.arg and len(call.node.keywords) == 1  # type: ignore
        if name is not None and is_all:
            found.setdefault(function, []).append(name)
    return {function: names[0] for function, names in found.items() if len(names) == 1}


def _gives_rate(call: Call) -> bool:
    return any(keyword.arg == "dropout" for keyword in call.node.keywords)


@dataclass(frozen=True)
class _ByCaller:
    """A value that all callers in other files pass."""

    value: object


class _Counts(Constants):
    """Finds numbers of layers: the project has all calls; a value that a test reads is unknown."""

    def _of(self, expr: ast.expr, stack: Stack, depth: int) -> frozenset[object]:
        found = super()._of(expr, stack, depth)
        if found != {UNKNOWN}:
            return found
        option = option_of(expr)
        return self._of_project(expr, depth) or (option and self._of_option(option, expr)) or found

    def _of_project(self, expr: ast.expr, depth: int) -> frozenset[object]:
        """Returns what another file says of a name, `config.LAYERS`, or of an option."""
        code, project = self.code, self.code.project
        if project is None:
            return frozenset()
        name = code.name(expr)
        if name is None and isinstance(expr, ast.Name) and not code.bindings(expr):
            name = next(iter(code.passed_on(expr.id)), None)
        found = None if name is None else project.find(code, name)
        if found is not None and len(found.values) == 1 and found.values[0] is not None:
            return _counts(found.code).of(found.values[0], (), depth + 1)
        held = _of_base(code, expr)
        if held is not None:
            return _counts(held[0]).of(held[1], (), depth + 1)
        return frozenset()

    def _of_option(self, option: str, expr: ast.expr) -> frozenset[object]:
        """Returns the values of an option in the files around this one, or else in all programs."""
        code, project = self.code, self.code.project
        known = _given(_options(code), option)
        if not known and project is not None:  # then any program of the project may set it
            known = _given(project.programs(code, option), option)
        if not known and isinstance(expr, ast.Call) and len(expr.args) == _SIZES:
            known = frozenset((code.value(expr.args[1]),))  # config.get("layers", 1)
        if UNKNOWN in known or (len(known) > 1 and not all(map(_is_share, known))):
            return frozenset()  # several values are ambiguous, unless all of them are rates
        return frozenset(map(ByDefault, known))

    def _spread(self, call: Call, name: str) -> frozenset[object]:
        """Returns the values of a parameter that a configuration passes: `Net(**config)`."""
        held = [each.value for each in call.node.keywords if each.arg is None]
        is_known = len(held) == 1 and is_settings(held[0])
        return self._of_option(name, held[0]) if is_known else frozenset()

    def _parameter(
        self, function: Function, name: str, stack: Stack, depth: int
    ) -> frozenset[object]:
        if _is_tested(self.code, function, name):
            return frozenset((UNKNOWN,))
        here = super()._parameter(function, name, stack, depth)
        given: set[object] = set()
        for code, call in _calls_elsewhere(self.code, function):
            value, default = function.given(call, name), function.defaults.get(name)
            if value is None:
                continue  # a TypeError
            if value is default:
                given.add(_ByCaller(self.code.value(default)))
                continue
            if isinstance(value, ast.expr):
                values = _counts(code).of(value, (), depth + 1)
            else:
                values = _counts(code)._spread(call, name)
            if UNKNOWN in values and _only_loads(code):
                continue  # it has the values of what another program trained
            given |= {v if _is_marked(v) else _ByCaller(v) for v in values or (UNKNOWN,)}
        known = frozenset(given - {UNKNOWN, _ByCaller(UNKNOWN)})
        is_all = bool(given) and len(known) == len(given)
        return known if is_all and not calls_of(self.code).get(function) else known | here

    def _is_open(self, function: Function, calls: Iterable[Call]) -> bool:
        return False


def _of_base(code: Code, expr: ast.expr) -> tuple[Code, ast.expr] | None:
    """Returns what a base in another file gives an attribute of `self`, if that is one thing."""
    cls = code.class_of(expr) if isinstance(expr, ast.Attribute) else None
    if cls is None or not isinstance(expr, ast.Attribute) or code.assigned(expr):
        return None
    if not isinstance(expr.value, ast.Name) or expr.value.id != "self":
        return None
    bases = bases_of_project(code, cls) or ()
    given = [(of, each.value) for of, base in bases for each in base.attributes.get(expr.attr, ())]
    return given[0] if len(given) == 1 and given[0][1] is not None else None  # type: ignore


def _given(files: Iterable[Code], option: str) -> frozenset[object]:
    return frozenset(value for each in files for value in option_values(each, option))


def _is_marked(value: object) -> bool:
    return value is UNKNOWN or isinstance(value, (ByDefault, _ByCaller))


def _only_loads(code: Code) -> bool:
    """Whether a file builds a model to load its weights, and trains nothing."""
    return "load_state_dict" in code.text and ".backward(" not in code.text


@kept
def _calls_elsewhere(code: Code, function: Function) -> Sequence[tuple[Code, Call]]:
    """Returns the calls of a function, or those that build its class, in other files."""
    target = function.cls if function.name == "__init__" else function
    if code.project is None or target is None or code.defined(target.name) is not target:
        return ()
    if target.node.decorator_list:  # which may register it
        return ()
    return code.project.calls(code, target) or ()


@kept
def _options(code: Code) -> Sequence[Code]:
    """Returns the files that may say what the options of a file are.

    They are those that it imports, and those that import it, with what they import.
    """
    found = {code.path: code}
    if code.project is None:
        return (code,)
    for user in (code, *code.project.users(code)):
        for each in (user, *code.project.imported(user)):
            found.setdefault(each.path, each)
    return [*found.values()]


@kept
def _counts(code: Code) -> _Counts:
    return _Counts(code)


def _one(code: Code, layers: object) -> _Known:
    """Returns whether a number of layers is 1, through names, options and callers in the file."""
    if not isinstance(layers, ast.expr):
        return ""
    values = _counts(code).of(layers)
    if not values <= {1, ByDefault(1), _ByCaller(1)}:
        return ""
    if ByDefault(1) in values:
        return "by default"
    return "by its callers" if _ByCaller(1) in values else "surely"


@kept
def _is_tested(code: Code, function: Function, name: str) -> bool:
    """Whether a test looks at a name, or one value of several is chosen where it is."""
    tests = (ast.IfExp, ast.Compare, ast.BoolOp, ast.Assert)
    for node in code.names_in(function.node).get(name, ()):
        below: ast.AST = node
        for parent in code.parents(node):
            if isinstance(parent, tests) or (isinstance(parent, ast.If) and below is parent.test):
                return True
            below = parent
    return False


def _acts_by_default(code: Code, rate: ast.expr) -> bool:
    """Whether a rate is known to be above 0 unless the caller, or an option, says otherwise."""
    values = _counts(code).of(rate)
    if UNKNOWN not in values:
        return all(map(_is_share, map(_plain, values)))
    p = default_of(code, rate)
    if p is None and isinstance(rate, ast.Attribute) and is_settings(rate.value):
        p = option_default(code, rate.attr)
    return isinstance(p, (int, float)) and is_number(p) and p > 0


def _may_act(value: object) -> bool:
    p = _plain(value)
    return not is_number(p) or p > 0  # type: ignore[operator]


def _is_share(value: object) -> bool:
    """Whether a value is a rate that drops something."""
    return is_number(value) and 0 < value <= 1  # type: ignore[operator]


def _plain(value: object) -> object:
    return value.value if isinstance(value, (ByDefault, _ByCaller)) else value


def _severity(code: Code, given: ast.expr) -> Severity | None:
    p = default_of(code, given)
    if is_number(p):
        assert isinstance(p, (int, float))
        if p > 0:
            return "error"
        return None if is_number(code.value(given)) else "advice"
    values = [given, *(v for v in code.assigned(given) if v is not None)]
    # A computed rate may be 0 for one layer.
    return "advice" if all(map(_is_option, values)) else None


def _is_rate(expr: ast.expr) -> bool:
    value = expr.value if isinstance(expr, ast.Constant) else None
    return is_number(value) and value > 0  # type: ignore[operator]


def _names(expr: ast.expr) -> Iterator[str]:
    for each in ast.walk(expr):
        if isinstance(each, (ast.Name, ast.Attribute)):
            yield each.id if isinstance(each, ast.Name) else each.attr


def _is_option(value: ast.expr) -> bool:
    """Whether a rate is an option as it is, 1 minus one, or one that another option allows."""
    if isinstance(value, ast.IfExp):
        asked = {each for name in _names(value.test) for each in words(name)}
        sides = (value.body, value.orelse)
        is_any = any(_is_option(each) or _is_rate(each) for each in sides)
        return (
            is_any
            and _COUNTS.isdisjoint(asked)
            and all(_is_option(each) or isinstance(each, ast.Constant) for each in sides)
        )
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Sub):
        return isinstance(value.left, ast.Constant) and _is_option(value.right)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id == "float" and len(value.args) == 1 and _is_option(value.args[0])
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        return value.func.attr == "get"  # options.get("dropout", 0.0)
    return isinstance(value, (ast.Name, ast.Attribute, ast.Subscript))
