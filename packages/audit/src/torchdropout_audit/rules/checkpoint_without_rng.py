"""TD151: a checkpoint whose second run draws another mask."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..code import ATTENTION, FUNCTIONAL_OFF, RATES, RNNS, UNKNOWN, Call, Class, Code, Function
from ._rule import Hit, rule

BROKEN = """\
from torch import nn
from torch.utils.checkpoint import checkpoint


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Dropout(0.1))

    def forward(self, x):
        return checkpoint(self.net, x, use_reentrant=False, preserve_rng_state=False)
"""
FIXED = """\
from torch import nn
from torch.utils.checkpoint import checkpoint


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Dropout(0.1))

    def forward(self, x):
        return checkpoint(self.net, x, use_reentrant=False)
"""

_CHECKPOINTS = {
    "torch.utils.checkpoint.checkpoint": "function",
    "torch.utils.checkpoint.checkpoint_sequential": "functions",
    "torch.distributed.algorithms._checkpoint.checkpoint_wrapper.checkpoint_wrapper": "module",
}
_OFF_BY_DEFAULT = (
    *("torch.nn.MultiheadAttention", "torchdropout.nn.MultiheadAttention"),
    *("timm.layers.DropPath", "torchdropout.nn.DropPath"),
    *RNNS,
    *ATTENTION,
)
_WRAPPERS = ("enumerate", "zip", "reversed", "list", "tuple", "iter", "tqdm", "sorted")
_DEEPEST = 8  # expressions that stand for one another
_DEEPEST_CALLS = 40  # functions that call one another


@rule(
    "TD151",
    group="checkpointing",
    broken=BROKEN,
    fixed=FIXED,
    evidence="PIDM#66 (300 epochs that failed), OLMo#702 and OLMo-core#828 (cross-entropy 2.49 "
    "instead of 2.19 at step 150), guided-diffusion#167, torchtitan#1323.",
)
def checkpoint_without_rng(code: Code) -> Iterator[Hit]:
    """A checkpoint around a dropout restores the state of the random generators.

    The rule looks at `checkpoint`, `checkpoint_sequential` and `checkpoint_wrapper` with
    `preserve_rng_state=False` around code that, as far as this file shows, contains a dropout: a
    module or a function of this file, a list of modules in a loop, a Transformer layer with its
    default of 0.1. It is advice if the rate is a parameter that is 0 by default.

    A checkpoint runs the forward a second time in the backward pass. Without the state of the
    generators, that run draws another mask: the gradients belong to another sample than the loss,
    and flow through places that were dropped. Training gets worse, or diverges, without an error.

    To fix: leave `preserve_rng_state` at its default, True, or make it True when the rate is above
    0.
    """
    search: _Search | None = None
    for call in code.calls:
        parameter = _CHECKPOINTS.get(call.name or "")
        if parameter is None:
            continue
        given = call.argument("preserve_rng_state")
        if not isinstance(given, ast.expr) or code.value(given) is not False:
            continue
        what = next((k.value for k in call.node.keywords if k.arg == parameter), None)
        if what is None:
            what = call.node.args[0] if call.node.args else None
        if what is None or isinstance(what, ast.Starred):
            continue
        search = search or _Search(code)
        held = search.expression(what)
        if held:
            drop = next((each for each in held if each.is_on), held[0])
            line = f"{_said(code, drop.call.node.func)} on line {drop.call.node.lineno}"
            yield Hit(
                call.node,
                f"the second run of {_said(code, what)} draws other masks than the first ({line})",
                "leave preserve_rng_state at True",
                severity=None if drop.is_on else "advice",
            )


def _said(code: Code, expr: ast.expr) -> str:
    text = " ".join(code.text_of(expr).split())
    return text if len(text) < 40 else f"{text[:36]} ..."


@dataclass(frozen=True)
class _Drop:
    """A dropout; `is_on` unless its rate is known to be 0 by default."""

    call: Call
    is_on: bool


def _told(found: list[_Drop]) -> list[_Drop]:
    """Returns those that a finding names: the first, and the first that is on."""
    return [*found[:1], *[each for each in found[1:] if each.is_on][:1]]


class _Search:
    """Finds the dropouts that an expression contains or runs, as far as the file shows."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.calls = {call.node: call for call in code.calls}
        self.known: dict[ast.AST, list[_Drop]] = {}
        self._level = 0  # of functions that are being read
        self._calls: dict[ast.AST, list[ast.Call]] = {}

    def expression(self, expr: ast.expr | None, depth: int = 0) -> list[_Drop]:
        """Returns the dropouts in a module or function that an expression stands for."""
        if expr is None or depth > _DEEPEST:
            return []
        if expr not in self.known:
            self.known[expr] = []  # what contains itself adds nothing
            self.known[expr] = self._look(expr, depth)
        return self.known[expr]

    def _look(self, expr: ast.expr, depth: int) -> list[_Drop]:
        if isinstance(expr, ast.Call):
            return self._call(expr, depth)
        if isinstance(expr, ast.Lambda):
            return self._inside([expr.body])
        if isinstance(expr, (ast.Subscript, ast.Starred, ast.NamedExpr)):
            return self.expression(expr.value, depth + 1)
        if isinstance(expr, (ast.List, ast.Tuple)):
            return self._all(expr.elts, depth)
        if isinstance(expr, (ast.ListComp, ast.GeneratorExp)):
            return self.expression(expr.elt, depth + 1)
        if not isinstance(expr, (ast.Name, ast.Attribute)):
            return []
        known = self.code.local(expr)
        if isinstance(known, Function):
            return self._function(known)
        if isinstance(expr, ast.Attribute) and expr.attr in ("forward", "__call__"):
            return self.expression(expr.value, depth + 1)
        if isinstance(expr, ast.Name):
            if expr.id == "self":
                return self._class(self.code.class_of(expr))
            turn = self._turn(expr, depth)
            if turn:
                return turn
        found = [self.expression(value, depth + 1) for value in self.code.assigned(expr)]
        return found[0] if found and all(found) else []

    def _all(self, expressions: Iterable[ast.expr], depth: int) -> list[_Drop]:
        return _told([each for expr in expressions for each in self.expression(expr, depth + 1)])

    def _call(self, expr: ast.Call, depth: int) -> list[_Drop]:
        """Returns the dropouts in what a call builds, wraps or returns."""
        name = self.code.name(expr.func)
        if name in RATES:
            return self._rate(expr)
        known = self.code.local(expr.func)
        if isinstance(known, Class):
            return self._class(known)
        given = [*expr.args, *(keyword.value for keyword in expr.keywords)]
        if isinstance(known, Function):  # `run(block)` may return a function that calls block
            is_factory = any(isinstance(e, ast.FunctionDef) for e in known.node.body)
            return self._all(given, depth) if is_factory else []
        if name == "functools.partial":
            return self._all(expr.args[:1], depth)
        if name is not None and name.startswith("torch.nn."):
            return self._all(given, depth)  # Sequential, ModuleList, TransformerEncoder
        return []

    def _turn(self, name: ast.Name, depth: int) -> list[_Drop]:
        """Returns the dropouts in what a loop assigns to a name: `for block in self.blocks`."""
        bindings = self.code.bindings(name)
        if len(bindings) != 1 or bindings[0].kind != "other":
            return []
        loop = bindings[0].node
        if not isinstance(loop, (ast.For, ast.comprehension)):
            return []
        return self._element(loop.target, loop.iter, name.id, depth)

    def _element(self, target: ast.expr, source: ast.expr, name: str, depth: int) -> list[_Drop]:
        if isinstance(source, ast.Call):
            func = source.func
            called = func.id if isinstance(func, ast.Name) else ""
            if isinstance(target, ast.Tuple) and called in ("enumerate", "zip"):
                place = next((i for i, e in enumerate(target.elts) if name in _names(e)), 0)
                if called == "enumerate":
                    place -= 1
                if not 0 <= place < len(source.args):
                    return []
                inner = target.elts[place + (called == "enumerate")]
                return self._element(inner, source.args[place], name, depth)
            if called in _WRAPPERS and source.args:
                return self._element(target, source.args[0], name, depth)
            if isinstance(func, ast.Attribute) and func.attr in ("values", "items", "children"):
                return self.expression(func.value, depth + 1)
        return self.expression(source, depth + 1)

    def _class(self, cls: Class | None) -> list[_Drop]:
        """Returns the dropouts that a class of this file, or a base in it, builds and calls."""
        if cls is None or not cls.is_module:
            return []
        if cls.node not in self.known:
            self.known[cls.node] = []
            self.known[cls.node] = self._inside([one.node for one in cls.lineage()])
        return self.known[cls.node]

    def _function(self, function: Function) -> list[_Drop]:
        """Returns the dropouts that a function of this file calls."""
        if function.node not in self.known:
            self.known[function.node] = []
            self.known[function.node] = self._inside(function.node.body)
        return self.known[function.node]

    def _inside(self, nodes: Sequence[ast.AST]) -> list[_Drop]:
        """Returns the dropouts that code calls or builds."""
        found: list[_Drop] = []
        self._level += 1
        for node in nodes if self._level < _DEEPEST_CALLS else ():
            for each in self._calls_in(node):
                known = self.code.local(each.func)
                if self.code.name(each.func) in RATES:
                    found += self._rate(each)
                elif isinstance(known, Function):
                    found += self._function(known)
                elif isinstance(known, Class):
                    found += self._class(known)
                elif not isinstance(node, ast.ClassDef):  # a class counts what it builds
                    found += self.expression(each.func, 1)
        self._level -= 1
        return _told(found)

    def _calls_in(self, node: ast.AST) -> list[ast.Call]:
        if node not in self._calls:
            self._calls[node] = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
        return self._calls[node]

    def _rate(self, node: ast.Call) -> list[_Drop]:
        """Returns the dropout that a call is or builds, unless it is known never to act."""
        call = self.calls[node]
        name = call.name or ""
        given = call.argument(RATES[name])
        training = call.argument("train" if name == "torch.dropout" else "training")
        if given is UNKNOWN or training is UNKNOWN:
            return []
        if isinstance(training, ast.expr) and self.code.value(training) is False:
            return []
        if name in FUNCTIONAL_OFF and training is None:
            return []
        layers = call.argument("num_layers") if name in RNNS else None
        if name in RNNS and (layers is None or layers is UNKNOWN):
            return []  # one layer: nothing is dropped
        if isinstance(layers, ast.expr) and self.code.value(layers) == 1:
            return []
        if not isinstance(given, ast.expr):
            return [] if name in _OFF_BY_DEFAULT else [_Drop(call, True)]
        value = self.code.value(given)
        if value is not UNKNOWN:
            return [_Drop(call, True)] if value not in (0, None) else []
        return [_Drop(call, not self._is_off_by_default(given))]

    def _is_off_by_default(self, rate: ast.expr) -> bool:
        """Whether a rate is a parameter whose default is 0, or an attribute set from one."""
        if isinstance(rate, ast.Attribute):
            values = self.code.assigned(rate)
            if len(values) != 1 or not isinstance(values[0], ast.Name):
                return False
            rate = values[0]
        function = self.code.function_of(rate)
        default = (
            function.defaults.get(rate.id) if function and isinstance(rate, ast.Name) else None
        )
        return isinstance(default, ast.Constant) and not default.value


def _names(expr: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(expr) if isinstance(node, ast.Name)}
