"""TD112: dropouts in a plain list, which `model.eval()` does not reach."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ...findings import Edit, Fix, Severity
from ..code import Assigned, Class, Code
from ._dropouts import builds, is_local_dropout, names_dropout
from ._rule import Hit, rule

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
MENDED = BROKEN.replace(
    "[nn.Dropout(0.1) for _ in range(4)]", "nn.ModuleList([nn.Dropout(0.1) for _ in range(4)])"
)
_PLAIN = (ast.List, ast.Tuple, ast.Dict, ast.ListComp, ast.DictComp)
_MAKERS = frozenset(("list", "tuple", "dict"))
_ADDERS = frozenset(("append", "extend", "insert", "update", "setdefault", "appendleft"))
_READERS = frozenset(
    ("len", "zip", "enumerate", "reversed", "range", "iter", "print", "isinstance", "sorted", "list",
     "tuple", "repr", "str", "id", "any", "all", "bool")
)  # fmt: skip
_OVERRIDDEN = ("train", "eval", "children", "named_children", "modules", "named_modules")
_REGISTERING = frozenset(("add_module", "register_module"))


@rule(
    "TD112",
    group="modules",
    broken=BROKEN,
    mended=MENDED,
    evidence="namisan/mt-dnn#45; fairseq 0.12.2 examples/speech_recognition/models/"
    "w2l_conv_glu_enc.py:103",
)
def module_not_registered(code: Code) -> Iterator[Hit]:
    """Dropouts in a plain list, tuple or dict of a Module stay in training mode.

    Looked for: an attribute of a Module that is a Python list, tuple or dict into which the file
    puts dropouts, and that is never made a `ModuleList`, a `ModuleDict` or a `Sequential`.

    `Module.train`, `eval`, `to` and `state_dict` go through registered children. What is in a plain
    list is none: `model.eval()` passes it by, and it drops in evaluation too.

    To mend: `nn.ModuleList([...])` or `nn.ModuleDict({...})`.
    """
    for cls in code.classes:
        if not cls.is_module or any(cls.method(name) for name in _OVERRIDDEN):
            continue
        candidates = {
            name: given
            for name, given in cls.attributes.items()
            if any(_is_container(code, each.value) for each in given)
        }
        if not candidates or _registers(cls):
            continue
        for name, given in candidates.items():
            yield from _judge(code, cls, name, given)


def _judge(code: Code, cls: Class, name: str, given: list[Assigned]) -> Iterator[Hit]:
    attribute = _Holder(code, cls.node, name, of_self=True)
    holders = [attribute]
    contents: list[ast.expr] = []
    for each in cls.assigned(name):
        if isinstance(each.node, ast.AugAssign):
            contents.append(each.node.value)
        elif isinstance(each.value, ast.Name) and each.function is not None:
            local = _Holder(code, each.function.node, each.value.id, of_self=False)
            holders.append(local)
            contents += (v for v in code.assigned(each.value) if v is not None)
        elif each.value is not None and _is_container(code, each.value):
            contents.append(each.value)
        elif not (isinstance(each.value, ast.Constant) and each.value.value is None):
            return  # it becomes something else: a `ModuleList`, perhaps
    if any(holder.is_passed_on() for holder in holders):
        return
    contents += (added for holder in holders for added in holder.added())
    found = [kind for expr in contents for kind in _dropouts(code, expr)]
    if not found:
        return
    severity: Severity = "error" if True in found else "advice"
    first = next(each for each in given if _is_container(code, each.value))
    assert first.value is not None
    yield Hit(
        first.value,
        f"the dropouts in `{name}` are in a plain {_kind(code, first.value)}: `eval()` does not "
        "reach them, so they drop in eval too",
        "use `nn.ModuleDict`" if _kind(code, first.value) == "dict" else "use `nn.ModuleList`",
        _fix(code, cls, first.value),
        severity,
    )


def _is_container(code: Code, value: ast.expr | None, follow: bool = True) -> bool:
    """Whether a value is a plain list, tuple or dict, or two of them added."""
    if isinstance(value, ast.Name):
        given = code.assigned(value) if follow else []
        known = [each for each in given if each is not None]
        return bool(known) and all(_is_container(code, each, follow=False) for each in known)
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, ast.BinOp) and isinstance(each.op, (ast.Add, ast.Mult)):
            waiting += [each.right, each.left]
        elif isinstance(each, _PLAIN) or _makes(each):
            return True
    return False


def _makes(expr: ast.AST | None) -> bool:
    """Whether an expression is `list(...)`, `tuple(...)` or `dict(...)`."""
    return (
        isinstance(expr, ast.Call) and isinstance(expr.func, ast.Name) and expr.func.id in _MAKERS
    )


def _kind(code: Code, value: ast.expr) -> str:
    if isinstance(value, ast.Name):
        value = next(v for v in code.assigned(value) if v is not None)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id
    if isinstance(value, (ast.Dict, ast.DictComp)):
        return "dict"
    return "tuple" if isinstance(value, ast.Tuple) else "list"


def _dropouts(code: Code, expr: ast.expr) -> Iterator[bool]:
    """For each dropout that is built in a container: whether it surely is one."""
    waiting = [expr]
    while waiting:
        each = waiting.pop()
        if isinstance(each, ast.Call):
            name = code.name(each.func)
            if builds(code, each) or is_local_dropout(code, each):
                yield True
            elif name is not None and names_dropout(name.rpartition(".")[2]):
                yield False
            elif _makes(each):
                waiting += each.args
                waiting += [keyword.value for keyword in each.keywords]
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


def _registers(cls: Class) -> bool:
    """Whether a class registers children by hand."""
    for node in ast.walk(cls.node):
        if isinstance(node, ast.Call):
            func = node.func
            if isinstance(func, ast.Attribute) and func.attr in _REGISTERING:
                return True
            if isinstance(func, ast.Name) and func.id == "setattr":
                return True
        elif isinstance(node, ast.Attribute) and node.attr in ("_modules", "__dict__"):
            return True
    return False


class _Holder:
    """A name or an attribute of `self` that holds the container, and all its uses in a scope."""

    def __init__(self, code: Code, scope: ast.AST, name: str, *, of_self: bool) -> None:
        self.code = code
        self.scope = scope
        self.name = name
        self.of_self = of_self
        self.uses = [node for node in ast.walk(scope) if self._is(node)]

    def _is(self, node: ast.AST) -> bool:
        if self.of_self:
            return (
                isinstance(node, ast.Attribute)
                and node.attr == self.name
                and isinstance(node.value, ast.Name)
                and node.value.id in ("self", "cls")
            )
        return isinstance(node, ast.Name) and node.id == self.name

    def added(self) -> Iterator[ast.expr]:
        """What is put into it later."""
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

    def is_passed_on(self) -> bool:
        """Whether it, or what is in it, is given to something that may register it."""
        for use in self.uses:
            node: ast.AST = use
            for parent in self.code.parents(use):
                if isinstance(parent, ast.Subscript) and parent.value is node:
                    node = parent
                    continue
                if isinstance(parent, (ast.Starred, ast.BinOp, ast.keyword)):
                    node = parent
                    continue
                if isinstance(parent, ast.Call) and parent.func is not node:
                    func = parent.func
                    if not (isinstance(func, ast.Name) and func.id in _READERS):
                        return True
                    node = parent
                    continue
                if isinstance(parent, ast.Attribute) and parent.attr in ("values", "items"):
                    node = next(self.code.parents(parent))
                    if not isinstance(node, ast.Call):
                        return True
                    if self._is_looped_on(node):
                        return True
                    break
                if isinstance(parent, (ast.Assign, ast.AnnAssign)) and parent.value is node:
                    # `self.act = self.acts[name]` registers it; `x = layers[0]` may.
                    if node is not use or self.of_self:
                        return True
                if isinstance(parent, (ast.Return, ast.Yield)) and not isinstance(
                    node, ast.Subscript
                ):
                    return True
                if self._is_loop(parent, node):
                    return True
                break
        return False

    def _is_looped_on(self, node: ast.AST) -> bool:
        return self._is_loop(next(self.code.parents(node)), node)

    def _is_loop(self, parent: ast.AST, iterated: ast.AST) -> bool:
        """Whether a loop over it passes an element on."""
        if not isinstance(parent, (ast.For, ast.comprehension)) or parent.iter is not iterated:
            return False
        names = {n.id for n in ast.walk(parent.target) if isinstance(n, ast.Name)}
        if isinstance(iterated, ast.Call) and isinstance(iterated.func, ast.Name):
            if iterated.func.id == "enumerate" and isinstance(parent.target, ast.Tuple):
                names = {n.id for n in ast.walk(parent.target.elts[1]) if isinstance(n, ast.Name)}
        body = parent if isinstance(parent, ast.For) else next(self.code.parents(parent))
        for node in ast.walk(body):
            if isinstance(node, ast.Call):
                given = [*node.args, *(keyword.value for keyword in node.keywords)]
                if any(isinstance(each, ast.Name) and each.id in names for each in given):
                    return True
            elif isinstance(node, ast.Attribute) and node.attr in ("train", "eval", "training"):
                if isinstance(node.value, ast.Name) and node.value.id in names:
                    return True
        return False


def _fix(code: Code, cls: Class, value: ast.expr) -> Fix | None:
    """`[...]` -> `nn.ModuleList([...])`, where the file has a name for `torch.nn`."""
    if not isinstance(value, (ast.List, ast.ListComp, ast.Tuple)):
        return None
    for base in cls.node.bases:
        if isinstance(base, ast.Attribute) and code.name(base.value) == "torch.nn":
            start, end = code.span(value)
            if isinstance(value, ast.Tuple) and code.text[start] != "(":
                return None
            opened = Edit(start, start, f"{code.text_of(base.value)}.ModuleList(")
            # The keys of the state, and what a list can do, change with it.
            return Fix("make it a `ModuleList`", (opened, Edit(end, end, ")")), safe=False)
    return None
