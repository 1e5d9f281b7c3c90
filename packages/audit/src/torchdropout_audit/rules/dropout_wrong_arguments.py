"""TD106: a call of a dropout that raises an error."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from ..code import MODULES, Call, Code
from ..code.signatures import TORCH, Signature
from ..findings import Edit, Fix
from ._dropouts import is_refused
from ._edits import add_training
from ._rule import Hit, rule

BROKEN = """\
import torch
from torch import nn


class Block(nn.Module):
    def forward(self, x):
        return torch.dropout(x, 0.1)
"""
FIXED = BROKEN.replace("0.1)", "0.1, train=self.training)")


_FEW = 4  # parameters that a hint may list

_MEANT: Mapping[str, tuple[str, ...]] = {
    "training": ("train",),
    "train": ("training",),
    "is_training": ("training", "train"),
    "is_train": ("training", "train"),
    **dict.fromkeys(
        ("rate", "prob", "drop_prob", "dropout_prob", "dropout_rate", "drop_rate", "probability"),
        ("p", "dropout_p", "dropout"),
    ),
    "dropout": ("p", "dropout_p"),
    "dropout_p": ("p", "dropout"),
    "p": ("dropout_p", "dropout"),
}
"""What a keyword of another library or of a relative is here."""


@rule("TD106", "functional", BROKEN, FIXED)
def dropout_wrong_arguments(code: Code) -> Iterator[Hit]:
    """A dropout is called with arguments that it has.

    The dropouts of torch differ. `F.dropout` has `training`; `torch.dropout` has `train`, and
    requires it; `nn.Dropout` has `p`; `nn.LSTM` has `dropout` and no `nonlinearity`; attention has
    `dropout_p`.

    In calls of torch's dropouts, attention, Transformer layers and RNNs, the rule looks for a
    keyword that does not exist, and for missing required arguments. It also looks for a dropout
    module of a class that is called without an input, or with `p` or `training`. Each of these
    raises an error when it is called, which may be in a branch that no test runs.

    A call with `*args` or `**kwargs` is skipped where they may hold what is missing, and so is a
    call that is expected to raise.

    To fix: rename the keyword, or pass what is missing.

    Seen in: pytorch#110356
    """
    for call in code.calls:
        found = wrong_arguments(code, call) or _applied(code, call)
        if found is not None and not is_refused(code, call.node):
            yield found


def wrong_arguments(code: Code, call: Call) -> Hit | None:
    """Finds why a call of one of torch's dropouts raises a TypeError.

    Args:
        code: The file.
        call: A call.

    Returns:
        The first reason; None if there is none, or if the signature is not known.
    """
    signature = TORCH.get(call.name or "")
    if signature is None:
        return None
    for keyword in call.node.keywords:
        if keyword.arg is not None and keyword.arg not in signature.all:
            return _unknown(code, call, keyword.arg, keyword, signature)
    return _missing(code, call, signature)


def _applied(code: Code, call: Call) -> Hit | None:
    """Finds what is wrong with the call of a dropout that a Module of the file builds."""
    node = call.node
    named = [each.arg for each in node.keywords]
    is_open = None in named or any(isinstance(each, ast.Starred) for each in node.args)
    is_right = len(node.args) + len(named) == 1 and named in ([], ["input"])
    if is_open or is_right or not isinstance(node.func, ast.Attribute):
        return None
    if not _is_built(code, node.func):
        return None
    said = f"{code.text_of(node.func)} is a dropout module, which takes the input alone"
    return Hit(node, f"{said}: the call raises a TypeError", f"{code.text_of(node.func)}(input)")


def _is_built(code: Code, expr: ast.expr) -> bool:
    """Whether an expression builds one of torch's dropouts, or names what is only ever one."""
    given = code.assigned(expr) or [expr]
    return all(isinstance(each, ast.Call) and code.name(each.func) in MODULES for each in given)


def _unknown(code: Code, call: Call, name: str, keyword: ast.keyword, signature: Signature) -> Hit:
    meant = next((each for each in _MEANT.get(name, ()) if each in signature.all), "")
    callee = code.text_of(call.node.func)
    said = f"{callee} has no parameter {name}: the call raises a TypeError"
    if not meant:
        return Hit(keyword, said, _nearest(signature, name))
    fix = None
    is_once = [each.arg for each in call.node.keywords].count(name) == 1
    if is_once and call.argument(meant) is None:
        start = code.span(keyword)[0]
        fix = Fix(f"rename {name} to {meant}", (Edit(start, start + len(name), meant),))
    return Hit(keyword, said, f"{meant}=", fix)


def _nearest(signature: Signature, name: str) -> str:
    """Says which two parameters may be meant: those with the most similar names."""
    known = [*signature.places, *sorted(signature.names)]
    near = get_close_matches(name, known, 2, 0)
    return f"it has {' and '.join(near)}" if len(known) > _FEW else f"it has {', '.join(known)}"


def _missing(code: Code, call: Call, signature: Signature) -> Hit | None:
    node = call.node
    given = {each.arg for each in node.keywords}
    if None in given or any(isinstance(each, ast.Starred) for each in node.args):
        return None
    needed = signature.places[len(node.args) : signature.needed]
    missing = [each for each in needed if each not in given]
    if not missing:
        return None
    fix = add_training(code, call, "train") if missing == ["train"] else None
    listed = " and ".join(missing)
    said = f"{code.text_of(node.func)} needs {listed}: the call raises a TypeError"
    return Hit(node, said, fix.does if fix else f"give {listed}", fix)
