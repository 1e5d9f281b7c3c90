"""TD114: a dropout that a Module builds and nothing applies."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ..code import Class, Code
from ._bases import has_plain_bases, is_stub
from ._dropouts import BUILDERS, is_local_dropout
from ._rule import Hit, rule

BROKEN = """\
from torch import nn


class Head(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.fc = nn.Linear(64, 10)
        self.drop = nn.Dropout(p)

    def forward(self, x):
        return self.fc(x)
"""
FIXED = BROKEN.replace("self.fc(x)", "self.fc(self.drop(x))")
_WORD = re.compile(r"\w+")
_BY_NAME = frozenset(("getattr", "setattr", "vars", "delattr", "attrgetter"))
_CHILDREN = frozenset(
    ("children", "named_children", "modules", "named_modules", "_modules", "__dict__")
    + ("get_submodule", "__getattr__", "__getattribute__", "attrgetter")
)
_LOOKING = frozenset(("super", "isinstance", "type", "id", "len", "print", "repr", "str"))


@rule(
    "TD114",
    group="modules",
    severity="advice",
    broken=BROKEN,
    fixed=FIXED,
    evidence="Informer2020#97, tirex#19; timm 1.0.31 models/coat.py:121, dgl 2.1.0 "
    "nn/pytorch/glob.py:701, neuralforecast models/informer.py:90",
)
def dropout_never_used(code: Code) -> Iterator[Hit]:
    """A dropout that a Module builds is applied.

    The rule looks for an attribute of a Module with a `forward` that is assigned a dropout and read
    nowhere in the file: not by the class, its bases and its subclasses, not on another object, not
    by name in a string. A class that loops over its children, or that has an unknown base, is
    skipped.

    The rate is an argument, is printed with the model and tuned, and has no effect. Either the line
    that applies the dropout is missing, or the dropout is left over.

    To fix: apply it in `forward`, or remove it, together with the parameter for its rate.
    """
    made = {cls: list(_made(code, cls)) for cls in code.classes if has_plain_bases(code, cls)}
    if not any(made.values()):
        return
    uses = _Uses(code)
    below: dict[Class, list[Class]] = {}
    for one in code.classes:
        for base in one.lineage()[1:]:
            below.setdefault(base, []).append(one)
    for cls, dropouts in made.items():
        if not dropouts:
            continue
        family = [*cls.lineage(), *below.get(cls, ())]
        forwards = [one.methods["forward"] for one in family if "forward" in one.methods]
        if not forwards or any(is_stub(each.node.body) for each in forwards):
            continue
        for name, node in dropouts:
            if uses.has(family, name):
                continue
            yield Hit(
                node,
                f"{name} is never used: the Module builds a dropout that nothing applies",
                "apply it in forward, or remove it",
            )


def _made(code: Code, cls: Class) -> Iterator[tuple[str, ast.expr]]:
    """Returns the attributes that are assigned a dropout, and the calls that build it."""
    for name, given in cls.attributes.items():
        for each in given:
            if each.function is None or each.value is None:
                continue
            if isinstance(each.node, ast.Assign) and len(each.node.targets) > 1:
                continue  # the other name may be the one that is used
            value = each.value
            sides = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            if any(
                (isinstance(side, ast.Call) and code.name(side.func) in BUILDERS)
                or is_local_dropout(code, side)
                for side in sides
            ):
                yield name, value
                break


class _Uses:
    """Collects where the attributes of a file are read."""

    def __init__(self, code: Code) -> None:
        self.by_self: dict[Class | None, set[str]] = {}
        self.elsewhere: set[str] = set()
        self.open: set[Class | None] = set()
        for node in ast.walk(code.tree):
            if isinstance(node, ast.Attribute):
                self._attribute(code, node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                if not isinstance(next(code.parents(node)), ast.Expr):  # not a docstring
                    self.elsewhere.update(_WORD.findall(node.value))
            elif isinstance(node, ast.Name):
                self._name(code, node)

    def _attribute(self, code: Code, node: ast.Attribute) -> None:
        if node.attr in _CHILDREN:
            self.open.add(code.class_of(node))
        if isinstance(node.ctx, ast.Store):
            return
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            self.by_self.setdefault(code.class_of(node), set()).add(node.attr)
        else:
            self.elsewhere.add(node.attr)

    def _name(self, code: Code, node: ast.Name) -> None:
        """Records what passes a Module to a function, or reads attributes by name."""
        if node.id in _BY_NAME:
            self.open.add(code.class_of(node))
        elif node.id == "self" and isinstance(node.ctx, ast.Load):
            parent = next(code.parents(node))
            func = parent.func if isinstance(parent, ast.Call) else None
            is_looking = isinstance(func, ast.Name) and func.id in _LOOKING
            if not isinstance(parent, ast.Attribute) and not is_looking:
                self.open.add(code.class_of(node))

    def has(self, family: list[Class], name: str) -> bool:
        """Whether an attribute is read, or may be."""
        return name in self.elsewhere or any(
            one in self.open or name in self.by_self.get(one, ()) for one in family
        )
