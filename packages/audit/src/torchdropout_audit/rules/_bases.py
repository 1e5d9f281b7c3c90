"""Bases of a class from other files."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from ..code import Class, Code, is_pretrained
from ._rule import kept

_ROOTS = frozenset(("LightningModule", "MessagePassing", "ModelMixin"))
# A class that derives from a list applies its elements if it loops over itself. If it does not, it
# is like any Module.
_MODULES = frozenset(("torch.nn.Module", "torch.nn.ModuleList", "torch.nn.ModuleDict"))
_MOST_BASES = 50
_ABSTRACT = ("abc.", "typing.", "typing_extensions.")


def has_plain_bases(code: Code, cls: Class) -> bool:
    """Whether bases from other files add nothing that matters to `torch.nn.Module`.

    True if each of them is `torch.nn.Module`, adds nothing (`abc.ABC`, `typing.Generic`), or is a
    well-known framework's root: none of these has its own `eval()` or uses the attributes of its
    children.

    Args:
        code: The file.
        cls: A class of it.
    """
    return cls.is_surely_module and all(map(_is_plain, _foreign(code, cls)))


def has_bases_of_torch(code: Code, cls: Class) -> bool:
    """Whether a base from another file is one of torch's modules with children of its own.

    Args:
        code: The file.
        cls: A class of it.
    """
    return any(n.startswith("torch.") and not _is_plain(n) for n in _foreign(code, cls))


def bases_of_project(code: Code, cls: Class) -> Sequence[tuple[Code, Class]] | None:
    """Returns the bases from other files of the project, and theirs, each with its file.

    Args:
        code: The file.
        cls: A class of it.

    Returns:
        The classes, without those that add nothing to `torch.nn.Module`; None if one is not known.
    """
    found: list[tuple[Code, Class]] = []
    waiting = [(code, cls)]
    while waiting:
        of, one = waiting.pop()
        for name in _foreign(of, one):
            if _is_plain(name):
                continue
            there = of.project.find(of, name) if of.project is not None and name else None
            if there is None or not isinstance(there.target, Class) or len(found) > _MOST_BASES:
                return None
            waiting.append((there.code, there.target))
            found += [(there.code, each) for each in there.target.lineage()]
    return found


def _foreign(code: Code, cls: Class) -> Iterator[str]:
    """Yields the qualified names of bases from other files; "" for an unknown one."""
    for one in cls.lineage():
        for base in one.node.bases:
            expr = base.value if isinstance(base, ast.Subscript) else base
            if isinstance(code.local(expr), Class):
                continue
            is_object = isinstance(expr, ast.Name) and expr.id == "object"
            yield "abc." if is_object else code.name(expr) or ""


def _is_plain(name: str) -> bool:
    last = name.rpartition(".")[2]
    is_root = last in _ROOTS or is_pretrained(last)
    return name in _MODULES or name.startswith(_ABSTRACT) or is_root


def is_stub(body: list[ast.stmt]) -> bool:
    """Whether a body is only a placeholder: a docstring, `pass`, `...`, a `raise`."""
    return all(
        isinstance(each, (ast.Pass, ast.Raise))
        or (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
        for each in body
    )


def is_abstract(family: Sequence[Class]) -> bool:
    """Whether no class of a family has a `forward` that does something.

    Args:
        family: A class, with its bases and subclasses.
    """
    forwards = (one.methods["forward"].node.body for one in family if "forward" in one.methods)
    return all(is_stub(body) or isinstance(body[-1], ast.Raise) for body in forwards)


def below(code: Code, cls: Class) -> Sequence[Class]:
    """Returns the direct and indirect subclasses of a class in its file.

    Args:
        code: The file.
        cls: The class.
    """
    return _below(code).get(cls, ())


@kept
def _below(code: Code) -> Mapping[Class, list[Class]]:
    found: dict[Class, list[Class]] = {}
    for one in code.classes:
        for base in one.lineage()[1:]:
            found.setdefault(base, []).append(one)
    return found
