"""TD151: a checkpoint whose second run draws another mask."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
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
_DEEPEST = 40  # expressions and functions that stand for or call one another


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
        if isinstance(what, ast.Starred):
            continue
        search = search or _Search(code)
        drop = search.expression(what)
        if what is not None and drop is not None:
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


def _first(found: Iterable[_Drop | None]) -> _Drop | None:
    """Returns the one that a finding names: the first that is on, or else the first."""
    known = [each for each in found if each is not None]
    return next((each for each in known if each.is_on), known[0] if known else None)


class _Search:
    """Finds a dropout that an expression contains or runs, as far as the file shows."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.calls = {call.node: call for call in code.calls}
        self.known: dict[ast.AST, _Drop | None] = {}
        self._depth = 0

    def expression(self, expr: ast.expr | None) -> _Drop | None:
        """Returns a dropout in a module or function that an expression stands for."""
        return None if expr is None else self._kept(expr, lambda: self._look(expr))

    def _kept(self, node: ast.AST, look: Callable[[], _Drop | None]) -> _Drop | None:
        if node not in self.known and self._depth < _DEEPEST:
            self._depth += 1
            self.known[node] = look()
            self._depth -= 1
        return self.known.get(node)

    def _look(self, expr: ast.expr) -> _Drop | None:
        if isinstance(expr, ast.Call):
            return self._call(expr)
        if isinstance(expr, ast.Lambda):
            return self._inside([expr.body])
        if isinstance(expr, (ast.Subscript, ast.Starred, ast.NamedExpr)):
            return self.expression(expr.value)
        if isinstance(expr, (ast.List, ast.Tuple)):
            return _first(map(self.expression, expr.elts))
        if isinstance(expr, (ast.ListComp, ast.GeneratorExp)):
            return self.expression(expr.elt)
        if not isinstance(expr, (ast.Name, ast.Attribute)):
            return None
        known = self.code.local(expr)
        if isinstance(known, Function):
            return self._function(known)
        if isinstance(expr, ast.Attribute) and expr.attr in ("forward", "__call__"):
            return self.expression(expr.value)
        if isinstance(expr, ast.Name):
            if expr.id == "self":
                return self._class(self.code.class_of(expr))
            turn = self._turn(expr)
            if turn:
                return turn
        found = [self.expression(value) for value in self.code.assigned(expr)]
        return found[0] if found and all(found) else None

    def _call(self, expr: ast.Call) -> _Drop | None:
        """Returns a dropout in what a call builds, wraps or returns."""
        name = self.code.name(expr.func) or ""
        if name in RATES:
            return self._rate(expr)
        known = self.code.local(expr.func)
        if isinstance(known, Class):
            return self._class(known)
        given = [*expr.args, *(keyword.value for keyword in expr.keywords)]
        if isinstance(known, Function):  # `run(block)` may return a function that calls block
            is_factory = any(isinstance(e, ast.FunctionDef) for e in known.node.body)
            return _first(map(self.expression, given)) if is_factory else None
        if name == "functools.partial":
            return self.expression(next(iter(expr.args), None))
        if name.startswith("torch.nn."):  # Sequential, ModuleList, TransformerEncoder
            return _first(map(self.expression, given))
        return None

    def _turn(self, name: ast.Name) -> _Drop | None:
        """Returns a dropout in what a loop assigns to a name: `for block in self.blocks`."""
        bindings = self.code.bindings(name)
        loop = bindings[0].node if len(bindings) == 1 else None
        if not isinstance(loop, (ast.For, ast.comprehension)):
            return None
        return self._element(loop.target, loop.iter, name.id)

    def _element(self, target: ast.expr, source: ast.expr | None, name: str) -> _Drop | None:
        if isinstance(source, ast.Call):
            func = source.func
            called = func.id if isinstance(func, ast.Name) else ""
            if isinstance(target, ast.Tuple) and called in ("enumerate", "zip"):
                given = [None, *source.args] if called == "enumerate" else source.args
                for part, each in zip(target.elts, given, strict=False):
                    if name in _names(part):
                        return self._element(part, each, name)
                return None
            if called in _WRAPPERS and source.args:
                return self._element(target, source.args[0], name)
            if isinstance(func, ast.Attribute) and func.attr in ("values", "items", "children"):
                return self.expression(func.value)
        return self.expression(source)

    def _class(self, cls: Class | None) -> _Drop | None:
        """Returns a dropout that a class of this file, or a base in it, builds and calls."""
        if cls is None or not cls.is_module:
            return None
        return self._kept(cls.node, lambda: self._inside([one.node for one in cls.lineage()]))

    def _function(self, function: Function) -> _Drop | None:
        """Returns a dropout that a function of this file calls."""
        return self._kept(function.node, lambda: self._inside(function.node.body))

    def _inside(self, nodes: Sequence[ast.AST]) -> _Drop | None:
        """Returns a dropout that code calls or builds."""
        found: list[_Drop | None] = []
        for node in nodes:
            for each in self._calls_in(node):
                known = self.code.local(each.func)
                if self.code.name(each.func) in RATES:
                    found.append(self._rate(each))
                elif isinstance(known, Function):
                    found.append(self._function(known))
                elif isinstance(known, Class):
                    found.append(self._class(known))
                elif not isinstance(node, ast.ClassDef):  # a class counts what it builds
                    found.append(self.expression(each.func))
        return _first(found)

    def _calls_in(self, node: ast.AST) -> Sequence[ast.Call]:
        return self.code.inside(node, ast.Call)

    def _rate(self, node: ast.Call) -> _Drop | None:
        """Returns the dropout that a call is or builds, unless it is known never to act."""
        call = self.calls[node]
        name = call.name or ""
        given = call.argument(RATES[name])
        training = call.argument("train" if name == "torch.dropout" else "training")
        if UNKNOWN in (given, training):
            return None
        if isinstance(training, ast.expr) and self.code.value(training) is False:
            return None
        if name in FUNCTIONAL_OFF and training is None:
            return None
        layers = call.argument("num_layers")
        if name in RNNS and (not isinstance(layers, ast.expr) or self.code.value(layers) == 1):
            return None  # one layer: nothing is dropped
        if not isinstance(given, ast.expr):
            return None if name in _OFF_BY_DEFAULT else _Drop(call, True)
        value = self.code.value(given)
        if value is not UNKNOWN:
            return _Drop(call, True) if value not in (0, None) else None
        return _Drop(call, not self._is_off_by_default(given))

    def _is_off_by_default(self, rate: ast.expr) -> bool:
        """Whether a rate is a parameter whose default is 0, or an attribute set from one."""
        if isinstance(rate, ast.Attribute):
            values = self.code.assigned(rate)
            if len(values) != 1 or not isinstance(values[0], ast.Name):
                return False
            rate = values[0]
        function = self.code.function_of(rate)
        defaults = {} if function is None else function.defaults
        default = defaults.get(rate.id) if isinstance(rate, ast.Name) else None
        return isinstance(default, ast.Constant) and not default.value


def _names(expr: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(expr) if isinstance(node, ast.Name)}
