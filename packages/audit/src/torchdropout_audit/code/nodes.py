"""Questions about single nodes, whatever the file that they are in."""

from __future__ import annotations

import ast


def said_of(expr: ast.AST | None) -> str:
    """Returns the last name of what is called: `norm` of `self.norm`; "" if it has none."""
    return expr.attr if isinstance(expr, ast.Attribute) else getattr(expr, "id", "")


def dotted(expr: ast.AST) -> str:
    """A name, or attributes or keys of one, as text; empty for everything else.

    Example:
        >>> dotted(ast.parse("self.models['g'].net", mode="eval").body)
        "self.models.['g'].net"
    """
    said = []
    while isinstance(expr, (ast.Attribute, ast.Subscript)):
        if isinstance(expr, ast.Attribute):
            said.append(expr.attr)
        elif isinstance(expr.slice, ast.Constant):
            said.append(f"[{expr.slice.value!r}]")
        else:
            return ""
        expr = expr.value
    return ".".join([expr.id, *reversed(said)]) if isinstance(expr, ast.Name) else ""


def of_self(expr: ast.AST | None) -> str:
    """Returns the attribute of `self` that an expression is; "" for everything else."""
    is_own = isinstance(expr, ast.Attribute) and getattr(expr.value, "id", "") == "self"
    return expr.attr if is_own else ""  # type: ignore[union-attr]


def is_super(expr: ast.AST) -> bool:
    """Whether an expression is `super()`."""
    return isinstance(expr, ast.Call) and getattr(expr.func, "id", "") == "super"


def is_init_of_super(func: ast.AST) -> bool:
    """Whether an expression is `super().__init__`."""
    return isinstance(func, ast.Attribute) and func.attr == "__init__" and is_super(func.value)
