"""Comments that say that something is known to be unused."""

from __future__ import annotations

import ast
import re

from ..code import Code

_PURPOSE = r"unused|deprecated|compat\w*|legacy|placeholder|dummy|kept for|reserved"
_IN_CHINESE = "兼容|未使用|不使用|不用|保留|废弃"
_PURPOSES = re.compile(rf"(?i)\b(?:{_PURPOSE})\b|{_IN_CHINESE}")
EXCUSE = re.compile(
    rf"(?i)\b(?:{_PURPOSE}|not (?:be |currently |yet )?(?:used|supported|implemented)|ignored?"
    rf"|no effect|consistency|interface|does(?:n't| not))\b|{_IN_CHINESE}"
)
"""Says that something is not used, and perhaps why."""


def is_left_out(code: Code, node: ast.AST, said: str) -> bool:
    """Whether a part of a definition is commented out, below a comment that is not code.

    Args:
        code: The file.
        node: The definition.
        said: What the part says.
    """
    pattern = rf"#[^\n(=]+\n\s*#[^\n]*\b{re.escape(said)}"
    return re.search(pattern, code.text_of(node)) is not None


def is_kept_on_purpose(code: Code, node: ast.expr) -> bool:
    """Whether a comment on the line of a node, or on the line above alone, says why it is there.

    That something is not used, without a reason, is an observation.

    Args:
        code: The file.
        node: A node.
    """
    above = code.lines.line(node.lineno - 1).lstrip()
    comments = [code.lines.line(node.lineno).partition("#")[2], above if above[:1] == "#" else ""]
    return any(map(_PURPOSES.search, comments))


def exclude(code: Code, one: ast.AST, other: ast.AST) -> bool:
    """Whether the options of two layers exclude each other: `if use_bn` and `if not use_bn`.

    Args:
        code: The file.
        one: A layer.
        other: Another.
    """
    first, second = _options(code, one), _options(code, other)
    return any(f"not {said}" in second for said in first) or any(
        f"not {said}" in first or (asked and asked in first.values() and said not in first)
        for said, asked in second.items()
    )


def _options(code: Code, node: ast.AST) -> dict[str, str]:
    """Returns the tests under which a node runs, as text, each with what it compares: `mode`."""
    found = {}
    for parent in code.parents(node):
        if isinstance(parent, ast.If):
            test, said = parent.test, code.text_of(parent.test)
            is_body = code.is_in(node, parent, "body")
            is_case = isinstance(test, ast.Compare) and isinstance(test.ops[0], (ast.Eq, ast.In))
            asked = code.text_of(test.left) if is_case and is_body else ""  # type: ignore[attr-defined]
            found[said if is_body else f"not {said}"] = asked
        node = parent
    return found
