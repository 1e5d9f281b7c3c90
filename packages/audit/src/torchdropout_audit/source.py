"""Audits one source."""

from __future__ import annotations

import re
from collections.abc import Collection

from .code import Code, Project
from .findings import SourceFinding, excerpt, finding_at
from .lines import Lines
from .registry import FINDERS, SYNTAX_ERROR
from .rules._rule import Hit

_OLD = re.compile(
    # Statements, also after a colon; backticks; `<>`; 0777 and 10L; ur"".
    r"(?:^|:|;)\s*(?:print\s+(?:[\"'\w%]|u?r?[\"'])[^=]*$|print\s*>>|exec\s+[\"'\w]"
    r"|raise\s+[\w.]+\s*,|except\s+(?:\w[\w.]*|\([^)]*\))\s*,\s*\w+\s*:)"
    r"|`|<>|\b0[0-7]+\b|\b\d+[lL]\b|\b[uU][rR]''"
    # Parameters that are unpacked: def f(a, (b, c)): and lambda (a, b):
    r"|\bdef\s+\w+\s*\((?:[^()]*,)?\s*\([\w\s,]+\)|\blambda\s*(?:[\w\s,]*,)?\s*\([\w\s,]+\)\s*:"
    # Python 3.6 has `async` as a name: x.cuda(async=True).
    r"|\basync\b(?!\s+(?:def|for|with)\b)"
)
_OLD_MESSAGES = ("Missing parentheses in call to", "inconsistent use of tabs")


class CutError(Exception):
    """A file was not read to its end."""


_LONGEST_FIX = 10_000  # characters of the new text; that of a longer one is kept for each finding
_STRING = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")


def audit_text(
    text: str, path: str = "<text>", rules: Collection[str] | None = None
) -> list[SourceFinding]:
    r"""Returns the findings of a Python source, by place.

    Comments such as `# torchdropout: ignore` have no effect here.

    Args:
        text: The source.
        path: Its path, for the findings.
        rules: Names of the rules to apply; with None, all.

    Returns:
        The findings; for a source that does not parse, `syntax-error` alone, if it is applied.

    Example:
        >>> [found] = audit_text("import torch.nn as nn\nnn.Dropout(1.5)")
        >>> found.name, found.line
        ('p-out-of-range', 2)
    """
    found, faults = audit_rules(text, path, rules)
    for error in faults.values():
        if not isinstance(error, CutError):
            raise error
    return [each for each in found if rules is None or each.name in rules]


def audit_rules(
    text: str, path: str, rules: Collection[str] | None, project: Project | None = None
) -> tuple[list[SourceFinding], dict[str, Exception]]:
    """Returns the same, and by its name what each rule raised that was not applied to all of it.

    For a source that does not parse, `syntax-error` is returned whether or not it is applied.
    """
    try:
        code = Code(text, path) if project is None else project.opened(text, path)
    except SyntaxError as error:
        return [_unparsed(text, path, error.msg, error.lineno or 1, error.offset or 1)], {}
    except (RecursionError, MemoryError):
        return [_unparsed(text, path, "nested too deep for Python's parser")], {}
    except ValueError as error:
        return [_unparsed(text, path, str(error))], {}
    found: list[SourceFinding] = []
    faults: dict[str, Exception] = {}
    for name, finder in FINDERS.items():
        if rules is None or name in rules:
            try:
                found += [_placed(code, name, hit) for hit in finder.find(code)]
            except Exception as error:  # the other rules are still applied
                faults[name] = error
            for what, most in code.limits.items():
                faults[name] = CutError(f"there are more than {most:,} {what}")
            code.limits.clear()
    if project is None:
        code.close()
    else:
        project.closed(code)
    return sorted(found, key=lambda each: (each.line, each.column, each.code)), faults


def _placed(code: Code, name: str, hit: Hit) -> SourceFinding:
    # Source text in the words may have several lines.
    words = (" ".join(hit.message.split()), " ".join(hit.hint.split()))
    fix = hit.fix
    if fix is not None and len(fix.does) + sum(len(e.text) for e in fix.edits) > _LONGEST_FIX:
        fix = None
    rule, span = FINDERS[name].rule, code.span(hit.node)
    return finding_at(code.lines, code.path, rule, span, *words, fix, hit.severity)


def _unparsed(text: str, path: str, message: str, line: int = 1, column: int = 1) -> SourceFinding:
    rule, content = SYNTAX_ERROR, Lines(text).line(line)
    is_older = _is_older(content, message)
    if is_older:
        message = f"an older Python, which is not audited: {message}"
    offset = min(column - 1, len(content))
    source, source_column = excerpt(content, offset, offset + 1)
    place = (path, line, column, line, column + 1)
    kind = (rule.code, rule.name, "advice" if is_older else rule.severity)
    return SourceFinding(*place, *kind, message, source=source, source_column=source_column)


def _is_older(line: str, message: str) -> bool:
    """Whether a source does not parse because it is written for an older Python."""
    said = _STRING.sub("''", line)
    return message.startswith(_OLD_MESSAGES) or _OLD.search(said) is not None
