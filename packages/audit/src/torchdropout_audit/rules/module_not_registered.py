"""TD112: dropouts in a plain list, which `model.eval()` does not reach."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from ..code import Assigned, Class, Code
from ..code.nodes import of_self, said_of
from ._dropouts import builds, is_local_dropout, names_dropout
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
_DISPLAYS = (ast.List, ast.Tuple, ast.Dict, ast.ListComp, ast.DictComp)
_MAKERS = frozenset(("list", "tuple", "dict", "OrderedDict"))
_ADDERS = frozenset(("append", "extend", "insert", "update", "setdefault"))
_READERS = frozenset(("len", "zip", "enumerate", "reversed", "range", "print", "isinstance", "any"))
_OVERRIDDEN = ("train", "eval", "children", "modules")
_REGISTERING = frozenset(("add_module", "register_module", "_modules", "__dict__", "setattr"))


@rule("TD112", "modules", BROKEN, FIXED)
def module_not_registered(code: Code) -> Iterator[Hit]:
    """A Module registers its dropouts; in a plain list, tuple or dict they stay in training mode.

    The rule looks for an attribute of a Module that is a Python list, tuple or dict to which the
    class adds dropouts, or Modules of the file that have one, and that never becomes a
    `ModuleList`, a `ModuleDict` or a `Sequential`. A class that registers children by hand
    (`add_module`), or passes the list on, is skipped.

    `Module.train`, `eval`, `to` and `state_dict` go through registered children. What is in a plain
    list is not registered: `model.eval()` does not reach it, and it drops in evaluation, too.

    To fix: `nn.ModuleList([...])` or `nn.ModuleDict({...})`.

    Seen in: namisan/mt-dnn#45; fairseq 0.12.2
    examples/speech_recognition/models/w2l_conv_glu_enc.py:103
    """
    for cls in code.classes:
        if not cls.is_module or any(cls.method(name) for name in _OVERRIDDEN):
            continue
        for name, given in cls.attributes.items():
            if any(map(_is_plain, given)) and not _registers(code, cls):
                yield from _found(code, cls, name)


def _found(code: Code, cls: Class, name: str) -> Iterator[Hit]:
    given = cls.assigned(name)
    uses = _attributes_of(code, cls).get(name, ())
    contents = [*_added(code, uses)]
    for each in given:
        if isinstance(each.node, ast.AugAssign):
            contents.append(each.node.value)
        elif _is_plain(each):
            contents += [] if each.value is None else [each.value]
        else:
            return  # it becomes something else, perhaps a `ModuleList`
    elements = [element for each in contents for element in _elements(each)]
    found = {_is_dropout(code, each) for each in elements} - {None}
    if not found or any(_is_passed_on(code, use) for use in uses):
        return
    first = next(each.value for each in given if _is_plain(each))
    assert first is not None
    kind = _kind(first)
    said = f"the dropouts in {name} are in a plain {kind}"
    said += ": eval() does not reach them, so they drop in eval too"
    hint = f"make it an nn.Module{'Dict' if kind in ('dict', 'OrderedDict') else 'List'}"
    yield Hit(first, said, hint, severity="error" if True in found else "advice")


def _is_plain(given: Assigned) -> bool:
    """Whether an attribute is assigned a plain list, tuple or dict."""
    value = given.value
    if isinstance(value, ast.BinOp):  # [...] + [...], [...] * 3
        value = value.left
    return isinstance(value, _DISPLAYS) or (
        isinstance(value, ast.Call) and said_of(value.func) in _MAKERS
    )


def _kind(value: ast.expr) -> str:
    if isinstance(value, ast.Call):
        return said_of(value.func)
    if isinstance(value, (ast.Dict, ast.DictComp)):
        return "dict"
    return "tuple" if isinstance(value, ast.Tuple) else "list"


def _elements(expr: ast.expr) -> Iterator[ast.expr]:
    """Yields the expressions of the elements of a container, or what is added to one."""
    waiting = [expr]
    while waiting:
        each = waiting.pop()
        if isinstance(each, (ast.List, ast.Tuple)):
            waiting += each.elts
        elif isinstance(each, ast.Dict):
            waiting += each.values
        elif isinstance(each, (ast.ListComp, ast.GeneratorExp)):
            waiting.append(each.elt)
        elif isinstance(each, ast.DictComp):
            waiting.append(each.value)
        elif isinstance(each, ast.BinOp):
            waiting += [each.left, each.right]
        elif isinstance(each, ast.Call) and said_of(each.func) in _MAKERS:
            waiting += [*each.args, *(keyword.value for keyword in each.keywords)]
        else:
            yield each


def _is_dropout(code: Code, expr: ast.expr) -> bool | None:
    """Whether an element is a dropout: True, False if only its name says so, None if not."""
    if not isinstance(expr, ast.Call):
        return None
    if builds(code, expr) or is_local_dropout(code, expr):
        return True
    cls = code.local(expr.func)
    if isinstance(cls, Class) and cls.is_surely_module and _holds_dropout(code, cls):
        return True
    return False if names_dropout((code.name(expr.func) or "").rpartition(".")[2]) else None


@kept
def _holds_dropout(code: Code, cls: Class) -> bool:
    """Whether a Module of this file has a dropout of its own."""
    given = (each for one in cls.lineage() for held in one.attributes.values() for each in held)
    return any(builds(code, each.value) for each in given)


@kept
def _attributes_of(code: Code, cls: Class) -> dict[str, list[ast.Attribute]]:
    """Returns the attributes of `self` in a class, by name."""
    found: dict[str, list[ast.Attribute]] = {}
    for node in code.inside(cls.node, ast.Attribute):
        if of_self(node):
            found.setdefault(node.attr, []).append(node)
    return found


@kept
def _registers(code: Code, cls: Class) -> bool:
    """Whether a class registers children by hand."""
    named = map(said_of, code.inside(cls.node, ast.Attribute, ast.Name))
    return not _REGISTERING.isdisjoint(named)


def _added(code: Code, uses: Sequence[ast.Attribute]) -> Iterator[ast.expr]:
    """Yields what is added to a container later."""
    for use in uses:
        parents = code.parents(use)
        parent, holder = next(parents), next(parents)
        if isinstance(parent, ast.Attribute) and parent.attr in _ADDERS:
            yield from holder.args if isinstance(holder, ast.Call) else ()
        elif isinstance(holder, ast.Assign) and parent in holder.targets:
            yield holder.value


def _is_passed_on(code: Code, use: ast.expr) -> bool:
    """Whether a container, or an element, is passed to something that may register it."""
    node: ast.AST = use
    for parent in code.parents(use):
        if isinstance(parent, ast.Call):
            return parent.func is not node and said_of(parent.func) not in _READERS
        if isinstance(parent, (ast.Assign, ast.AnnAssign, ast.Return)):
            return parent.value is node
        if not isinstance(parent, (ast.Subscript, ast.Starred, ast.BinOp, ast.keyword)):
            return False
        node = parent
    return False
