"""The bases of a class that are not in its file."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..code import Class, Code

_ROOTS = frozenset(("LightningModule", "PreTrainedModel", "MessagePassing", "ModelMixin"))
_ABSTRACT = ("abc.", "typing.", "typing_extensions.")


def has_plain_bases(code: Code, cls: Class) -> bool:
    """Whether a class has what `torch.nn.Module` has and what is in this file, as far as it counts.

    True where each base from elsewhere is `torch.nn.Module`, says nothing (`abc.ABC`,
    `typing.Generic`), or is a well-known framework's root: none has an `eval()` of its own or uses
    the attributes of its children.

    Args:
        code: The file.
        cls: A class of it.
    """
    return cls.is_surely_module and all(map(_is_plain, _foreign(code, cls)))


def _foreign(code: Code, cls: Class) -> Iterator[str]:
    """The qualified names of the bases from elsewhere; empty for one that is not known."""
    for one in cls.lineage():
        for base in one.node.bases:
            expr = base.value if isinstance(base, ast.Subscript) else base
            if isinstance(code.local(expr), Class):
                continue
            is_object = isinstance(expr, ast.Name) and expr.id == "object"
            yield "abc." if is_object else code.name(expr) or ""


def _is_plain(name: str) -> bool:
    return (
        name == "torch.nn.Module" or name.startswith(_ABSTRACT) or name.rpartition(".")[2] in _ROOTS
    )


def is_stub(body: list[ast.stmt]) -> bool:
    """Whether a body only says what is to be there: a docstring, `pass`, `...`, a `raise`."""
    return all(
        isinstance(each, (ast.Pass, ast.Raise))
        or (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
        for each in body
    )
