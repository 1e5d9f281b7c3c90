"""The turns of a loop that differ from the others."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence


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
        given = test.comparators[0]
        is_end = isinstance(given, ast.BinOp) and isinstance(given.op, ast.Sub)
        block: Sequence[ast.stmt] = ()
        if is_end and isinstance(test.left, ast.Name):
            if isinstance(test.ops[0], (ast.Lt, ast.NotEq)):
                block = node.orelse if is_last else node.body
            elif isinstance(test.ops[0], ast.Eq):
                block = node.body if is_last else node.orelse
        if block:
            end = block[-1].end_lineno
            assert end is not None  # it was parsed
            yield block[0].lineno, end
