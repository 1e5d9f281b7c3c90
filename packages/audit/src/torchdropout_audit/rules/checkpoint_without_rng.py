"""TD151: a checkpoint whose second run draws another mask."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import ATTENTION, FUNCTIONAL_OFF, RATES, RNNS, UNKNOWN, Call, Code
from ._layers import calls
from ._rule import Hit, kept, rule

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
FIXED = BROKEN.replace(", preserve_rng_state=False", "")

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
_LOOPS = (ast.For, ast.comprehension)
_MOST = 200  # expressions, functions and classes that stand for or call one another


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
    default of 0.1.

    A checkpoint runs the forward a second time in the backward pass. Without the state of the
    generators, that run draws another mask: the gradients belong to another sample than the loss.
    Training gets worse, or diverges, without an error.

    To fix: leave `preserve_rng_state` at its default, True, or make it True when the rate is above
    0.
    """
    for call in code.calls:
        parameter = _CHECKPOINTS.get(call.name or "")
        given = call.argument("preserve_rng_state") if parameter else None
        if not isinstance(given, ast.expr) or code.value(given) is not False:
            continue
        by_name = (each.value for each in call.node.keywords if each.arg == parameter)
        what = next(by_name, call.node.args[0] if call.node.args else None)
        drop = None if what is None else _drop(code, what)
        if what is not None and drop is not None:
            line = f"{_said(code, drop.func)} on line {drop.lineno}"
            yield Hit(
                call.node,
                f"the second run of {_said(code, what)} draws other masks than the first ({line})",
                "leave preserve_rng_state at True",
            )


def _said(code: Code, expr: ast.expr) -> str:
    text = " ".join(code.text_of(expr).split())
    return text if len(text) < 40 else f"{text[:36]} ..."


@kept
def _drop(code: Code, what: ast.AST) -> ast.Call | None:
    """Returns a dropout that a piece of code builds or runs, as far as the file shows.

    Each name in it is followed to its values, to the list that it loops over, and to the function
    or class of the file that it names.
    """
    waiting: list[ast.AST] = [what]
    seen: set[ast.AST] = set()
    while waiting and len(seen) < _MOST:
        node = waiting.pop(0)
        if node in seen:
            continue
        seen.add(node)
        for each in (node, *code.inside(node, ast.Call, ast.Name, ast.Attribute)):
            if isinstance(each, ast.Call) and _acts(code, calls(code)[each]):
                return each
            if isinstance(each, (ast.Name, ast.Attribute)):
                known = code.local(each)
                bound = code.bindings(each) if isinstance(each, ast.Name) else ()
                loops = (one.node for one in bound if isinstance(one.node, _LOOPS))
                waiting += [loop.iter for loop in loops]
                waiting += [value for value in code.assigned(each) if value is not None]
                waiting += [] if known is None else [known.node]
    return None


def _acts(code: Code, call: Call) -> bool:
    """Whether a call is or builds a dropout, unless it is known never to act."""
    name = call.name or ""
    if name not in RATES:
        return False
    given = call.argument(RATES[name])
    training = call.argument("train" if name == "torch.dropout" else "training")
    if UNKNOWN in (given, training) or (name in FUNCTIONAL_OFF and training is None):
        return False
    if isinstance(training, ast.expr) and code.value(training) is False:
        return False
    layers = call.argument("num_layers")
    if name in RNNS and (not isinstance(layers, ast.expr) or code.value(layers) == 1):
        return False  # one layer: nothing is dropped
    if not isinstance(given, ast.expr):
        return name not in _OFF_BY_DEFAULT
    return code.value(given) not in (0, None)
