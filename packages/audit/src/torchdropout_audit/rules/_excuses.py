"""Comments that say that something is known to be unused."""

from __future__ import annotations

import ast
import re

from ..code import Code
from ._rule import kept

EXCUSE = re.compile(
    r"(?i)\b(?:unused|not (?:be |currently |yet )?(?:used|supported|implemented)|ignored?"
    r"|deprecated|compatib\w+|compat|no effect|legacy|placeholder|dummy|kept for|reserved"
    r"|consistency|todo|fixme|arg00\d|interface|does(?:n't| not))\b"
    r"|兼容|未使用|没有使用|没用|不使用|不用|保留|废弃"
)

_PURPOSE = re.compile(
    r"(?i)\b(?:unused|deprecated|(?:backwards? )?compatib\w+|compat|legacy|placeholder|dummy|kept"
    r" for|reserved)\b|兼容|未使用|不使用|不用|保留|废弃"
)

_REASON = re.compile(
    EXCUSE.pattern
    + r"|(?i:\b(?:no|not|without|never|instead|only|inference)\b)"
    + r"|(?i:\b(?:wrong|incorrect|remov|disabl)\w*)"
)
_CODE = re.compile(r"\w\(|=|\bself\.|^\s*(?:if|for|return|else|elif|import|from|def|class|with)\b")


@kept
def explained(code: Code, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    """Returns the comments in a definition that say in words why something is left out.

    Code that is commented out is not a reason, but a sentence in the same block of comments is.

    Args:
        code: The file.
        node: The definition.
    """
    found: list[str] = []
    block: list[str] = []
    last = (node.end_lineno or node.lineno) + 1
    while code.line(last).startswith((" ", "\t")) and code.line(last).lstrip().startswith("#"):
        last += 1  # the comments that end it are not in its node
    for line in map(code.line, range(node.lineno, last + 1)):
        before, _, comment = line.partition("#")
        if before.strip() or not comment:
            if any(_REASON.search(said) and not _CODE.search(said) for said in block):
                found += block
            block = []
        block += re.split("#|: ", comment)
    return "\n".join(found)


def is_kept_on_purpose(code: Code, node: ast.expr) -> bool:
    """Whether a comment on the lines of a node, or on the line above alone, says why it is there.

    That something is not used, without a reason, is an observation.

    Args:
        code: The file.
        node: A node.
    """
    lines = [code.line(n) for n in range(node.lineno, (node.end_lineno or node.lineno) + 1)]
    above = code.line(node.lineno - 1).lstrip()
    comments = [line.partition("#")[2] for line in lines]
    return any(map(_PURPOSE.search, [*comments, above if above.startswith("#") else ""]))


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
