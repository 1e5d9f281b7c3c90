"""Applies the fixes of findings to the text of a source; all else stays as it is."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain

from .code import parsed
from .findings import Edit, Fix, SourceFinding

_MOST_ROUNDS = 10  # of fixes that overlap, one is applied per round


def fix_all(
    text: str, audit: Callable[[str], Sequence[SourceFinding]], unsafe: bool = False
) -> tuple[str, int]:
    """Fixes a text until no fix is left.

    Args:
        text: The source.
        audit: Returns the findings of a text.
        unsafe: Whether to apply fixes that may change what the program does.

    Returns:
        The fixed text, which no further run changes, and how many findings were fixed.
    """
    found, count = audit(text), 0
    for _ in range(_MOST_ROUNDS):
        new, made = apply_fixes(text, found, unsafe)
        if not made:
            break
        left = audit(new)
        if _count_fixable(left, unsafe) >= _count_fixable(found, unsafe):
            break  # a fix that does not help would be applied for ever
        text, found, count = new, left, count + made
    return text, count


def without_tried(
    findings: Sequence[SourceFinding], unsafe: bool = False
) -> tuple[SourceFinding, ...]:
    """Removes the fixes from findings that are left: they were tried and did not help."""
    return tuple(replace(f, fix=None) if is_fixable(f, unsafe) else f for f in findings)


def is_fixable(finding: SourceFinding, unsafe: bool) -> bool:
    """Whether a finding has a fix that may be applied."""
    return finding.fix is not None and (finding.fix.safe or unsafe)


def _count_fixable(findings: Sequence[SourceFinding], unsafe: bool) -> int:
    return sum(is_fixable(finding, unsafe) for finding in findings)


def apply_fixes(
    text: str, findings: Sequence[SourceFinding], unsafe: bool = False
) -> tuple[str, int]:
    r"""Applies the fixes of findings once.

    The edits of a fix are made all or none. Of fixes that overlap, only the first is applied: audit
    the new text for the others. A fix after which the text would not parse is left out.

    Args:
        text: The source that was audited.
        findings: In the order of their places.
        unsafe: Whether to apply fixes that may change what the program does.

    Returns:
        The new text, and how many findings were fixed.

    Example:
        >>> fix = Fix("add a", (Edit(2, 2, "a"),))
        >>> finding = SourceFinding("f.py", 1, 3, 1, 4, "TD101", "name", "error", "said", fix=fix)
        >>> apply_fixes("f()\r\n", [finding])
        ('f(a)\r\n', 1)
    """
    wanted = [f.fix for f in findings if f.fix is not None and is_fixable(f, unsafe)]
    fixes: list[Fix] = []
    for fix in wanted:
        if fix.edits and not any(
            _overlap(a, b) for other in fixes for a in fix.edits for b in other.edits
        ):
            fixes.append(fix)
    if not fixes:
        return text, 0
    new = _edited(text, fixes)
    if parses(new):
        return new, len(fixes)
    # One of them breaks the text: try each on top of those that do not.
    kept: list[Fix] = []
    for fix in fixes:
        if parses(_edited(text, [*kept, fix])):
            kept.append(fix)
    return (_edited(text, kept), len(kept)) if kept else (text, 0)


def parses(text: str) -> bool:
    """Whether a text is Python: it parses, and repeats no keyword in a call.

    The parser accepts a repeated keyword; only the compiler rejects it.

    Example:
        >>> parses("f(a=1)"), parses("f(a=1, a=1)"), parses("f(")
        (True, False, False)
    """
    tree = parsed(text)
    return tree is not None and not any(map(_repeats, ast.walk(tree)))


def _repeats(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    names = [keyword.arg for keyword in node.keywords if keyword.arg is not None]
    return len(names) != len(set(names))


def _overlap(a: Edit, b: Edit) -> bool:
    if a.start == a.end or b.start == b.end:  # next to another edit, its place is ambiguous
        return a.start <= b.end and b.start <= a.end
    return a.start < b.end and b.start < a.end


def _edited(text: str, fixes: Sequence[Fix]) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    edits = sorted(chain.from_iterable(fix.edits for fix in fixes), key=lambda e: (e.start, e.end))
    parts, place = [], 0
    for edit in edits:
        new = edit.text.replace("\r\n", "\n").replace("\n", newline)
        parts += [text[place : edit.start], new]
        place = edit.end
    return "".join([*parts, text[place:]])
