"""The turns of a loop that differ from the others."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

_COMPARES = (ast.Lt, ast.NotEq, ast.Eq)


def last_turns(body: Sequence[ast.stmt], is_last: bool = True) -> Iterator[tuple[int, int]]:
    """Yields the lines that run in the last turn of a loop only, or in all turns except the last.

    Args:
        body: The body of a loop: `if i < n - 1: ... else: ...`.
        is_last: Whether to yield the lines of the last turn, and not those of the others.
    """
    for node in body:
        test = node.test if isinstance(node, ast.If) else None
        if not isinstance(node, ast.If) or not isinstance(test, ast.Compare):
            continue
        given, op = test.comparators[0], test.ops[0]
        is_end = isinstance(given, ast.BinOp) and isinstance(given.op, ast.Sub)
        if is_end and isinstance(test.left, ast.Name) and isinstance(op, _COMPARES):
            block = node.body if isinstance(op, ast.Eq) is is_last else node.orelse
            if block:
                yield block[0].lineno, block[-1].end_lineno or 0


def is_among(node: ast.AST | None, lines: Sequence[tuple[int, int]]) -> bool:
    """Whether a node begins in some lines."""
    return any(a <= getattr(node, "lineno", 0) <= b for a, b in lines)
