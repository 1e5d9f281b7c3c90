"""Comments for the audit, such as `# torchdropout: ignore[name]`.

A comment at the end of a line applies to that line; after the last line of a statement, to the
whole statement. A comment alone on its line applies to the statement that follows.

- `ignore[name, TD101]` silences these rules; codes, beginnings of codes and groups work as well.
  `ignore` alone silences all rules.
- `ignore-file[name]` and `ignore-file` do the same for the file, on any line.
- `mc-dropout` says that dropout in eval is intended. Above all code it applies to the file.

A reason may follow the directive, up to the next `#`.
"""

from __future__ import annotations

import io
import re
import tokenize
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from .findings import Edit, Fix, SourceFinding
from .registry import CHOICE, FINDERS, SYNTAX_ERROR, UNUSED_IGNORE

ON_PURPOSE = frozenset(
    ("training-literal", "functional-always-on", "eval-mode-dropout-forced")
    + ("mask-always-on", "local-dropout-without-mode")
)
"""What `mc-dropout` silences."""

_MENTION = re.compile(r"torchdropout\s*:", re.IGNORECASE)
_PART = re.compile(r"#[^#]*")
_DIRECTIVE = re.compile(
    r"#\s*torchdropout\s*:\s*(?P<verb>ignore-file|ignore|mc-dropout)(?![\w-])"
    r"\s*(?P<list>\[(?P<names>[^\]]*)(?P<closed>\])?)?",
    re.IGNORECASE,
)
_NAME = re.compile(r"[^\s,]+")
_LINE_END = re.compile(r"\r\n|\r|\n")
_SPACES = tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT
# What may precede a comment that applies to the file: nothing, or the docstring.
_NO_CODE = *_SPACES, tokenize.ENCODING, tokenize.STRING, tokenize.ENDMARKER


@dataclass
class _Entry:
    """A name in the brackets, its place, and the rules it means."""

    text: str
    start: int
    end: int
    rules: frozenset[str]
    is_used: bool = False


@dataclass
class _Directive:
    """One directive of a comment.

    Attributes:
        verb: `ignore`, `ignore-file` or `mc-dropout`.
        start: Where its part of the comment begins, in the text.
        end: Where that part ends.
        marked_end: Where the directive itself ends, without a reason.
        lines: The first and last line it applies to; None for the file.
        entries: What is in its brackets; None if it has none.
        is_closed: False if the closing bracket is missing.
    """

    verb: str
    start: int
    end: int
    marked_end: int
    lines: tuple[int, int] | None
    entries: list[_Entry] | None
    is_closed: bool = True
    is_used: bool = False

    def silences(self, name: str, first: int, last: int) -> bool:
        """Whether it silences a rule at some lines; if so, remembers that it was used."""
        if self.lines is not None and (first > self.lines[1] or last < self.lines[0]):
            return False
        if self.verb == "mc-dropout":
            return name in ON_PURPOSE
        if self.entries is None:
            self.is_used = True
            return True
        naming = [entry for entry in self.entries if name in entry.rules]
        for entry in naming:
            entry.is_used = True
        return bool(naming)


@dataclass
class _Layout:
    """Where the lines and statements of a text are."""

    starts: list[int]
    statements: list[tuple[int, int]] = field(default_factory=list)  # lines, in order

    def statement(self, line: int) -> tuple[int, int]:
        """Returns the lines of the statement (of a compound one, its head) that has a line."""
        at = bisect_right(self.statements, (line, 1 << 60)) - 1
        if at >= 0 and line <= self.statements[at][1]:
            return self.statements[at]
        return line, line

    def place(self, offset: int) -> tuple[int, int]:
        """Returns the line and column of a character, from 1."""
        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1


def suppress(
    findings: Sequence[SourceFinding],
    text: str,
    path: str = "<text>",
    rules: Collection[str] | None = None,
) -> list[SourceFinding]:
    r"""Removes the findings that comments silence.

    Args:
        findings: The findings of the text.
        text: The source.
        path: Its path, for the findings.
        rules: Names of the rules that were applied; with None, all.

    Returns:
        The other findings, and one for each `ignore` that silences nothing, by place. An `ignore`
        whose rules were not applied is not reported.

    Example:
        >>> [unused] = suppress([], "x = 1  # torchdropout: ignore[p-one]\n", "f.py")
        >>> unused.message, unused.fix.does
        ('`ignore[p-one]` silences nothing', 'remove it')
    """
    if not _MENTION.search(text):
        return list(findings)
    directives, layout = _read(text)
    if not directives:
        return list(findings)
    left = []
    for finding in findings:
        # A finding on a class is about its head: a comment inside the class does not silence it.
        last = min(finding.end_line, layout.statement(finding.line)[1])
        # Each is called, so that of two equal comments neither counts as unused.
        said = [d.silences(finding.name, finding.line, last) for d in directives]
        if not any(said):
            left.append(finding)
    is_whole = not any(finding.code == SYNTAX_ERROR.code for finding in findings)
    if is_whole and (rules is None or UNUSED_IGNORE.name in rules):
        for directive in directives:
            left += _unused(directive, directives, text, path, rules, layout)
    return sorted(left, key=lambda each: (each.line, each.column, each.code))


# --- Reading ------------------------------------------------------------------------------------


def _read(text: str) -> tuple[list[_Directive], _Layout]:
    layout = _Layout([0, *(end.end() for end in _LINE_END.finditer(text))])
    comments: list[tuple[int, int, str, bool, bool]] = []
    first: int | None = None  # the line on which the current statement begins
    is_above_code = True
    for token in _tokens(text):
        if token.type == tokenize.COMMENT:
            line, column = token.start
            begin = layout.starts[line - 1]
            is_alone = not text[begin : begin + column].strip()
            comments.append((line, column, token.string, is_alone, is_above_code))
        elif token.type == tokenize.NEWLINE:
            if first is not None:
                layout.statements.append((first, token.start[0]))
            first = None
        elif token.type not in _SPACES and token.type != tokenize.ENDMARKER:
            first = token.start[0] if first is None else first
        if token.type not in _NO_CODE:
            is_above_code = False
    found = []
    for line, column, comment, is_alone, is_above in comments:
        offset = layout.starts[line - 1] + column
        lines = _spoken_of(layout, line, is_alone)
        for part in _PART.finditer(comment):
            match = _DIRECTIVE.match(part.group())
            if match is not None:
                is_of_file = match["verb"].lower() == "ignore-file" or (
                    match["verb"].lower() == "mc-dropout" and is_alone and is_above
                )
                found.append(
                    _directive(match, offset + part.start(), part, None if is_of_file else lines)
                )
    return found, layout


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    """Yields the tokens of a text, as far as it can be read."""
    # CPython's tokenizer ends a line at `\n` only; replacing single characters keeps the columns.
    # At a NUL some versions raise SystemError.
    plain = re.sub(r"\r(?!\n)", "\n", text.partition("\0")[0])
    try:
        yield from tokenize.generate_tokens(io.StringIO(plain, newline="").readline)
    except (tokenize.TokenError, SyntaxError):
        return


def _spoken_of(layout: _Layout, line: int, is_alone: bool) -> tuple[int, int]:
    first, last = layout.statement(line)
    if first < line == last:  # after the end of a statement with several lines
        return first, last
    if not is_alone:
        return line, line
    if first < line:  # inside a statement: applies to the next line
        return line, line + 1
    after = bisect_right(layout.statements, (line, 1 << 60))
    return line, layout.statements[after][1] if after < len(layout.statements) else line


def _directive(
    match: re.Match[str], start: int, part: re.Match[str], lines: tuple[int, int] | None
) -> _Directive:
    entries = None
    if match["list"] is not None:
        at = start + match.start("names")
        entries = [
            _Entry(name.group(), at + name.start(), at + name.end(), CHOICE.matching(name.group()))
            for name in (_NAME.finditer(match["names"]) if match["closed"] else ())
        ]
    return _Directive(
        match["verb"].lower(),
        start,
        start + len(part.group().rstrip()),
        start + match.end() - (len(match.group()) - len(match.group().rstrip())),
        lines,
        entries,
        match["list"] is None or match["closed"] is not None,
    )


# --- Comments that silence nothing -----------------------------------------------------------


def _unused(
    directive: _Directive,
    all_of_them: Sequence[_Directive],
    text: str,
    path: str,
    rules: Collection[str] | None,
    layout: _Layout,
) -> Iterator[SourceFinding]:
    if directive.verb == "mc-dropout":  # states an intention, whether or not a rule would report it
        return
    line, _ = layout.place(directive.start)
    if any(_keeps(other, line) for other in all_of_them):
        return
    applied = set(FINDERS) if rules is None else set(rules)
    whole = _Removal(text, directive)
    if directive.entries is None:
        if not directive.is_used and applied >= set(FINDERS):
            said = f"`{directive.verb}` silences nothing"
            yield _finding(
                said, directive.start, directive.marked_end, whole.fix(), path, text, layout
            )
        return
    if not directive.is_closed or not directive.entries:
        what = "names no rule" if directive.is_closed else "has no closing bracket"
        said = f"`{directive.verb}` {what}, and silences nothing"
        yield _finding(said, directive.start, directive.marked_end, whole.fix(), path, text, layout)
        return
    idle = [e for e in directive.entries if not e.is_used and (not e.rules or e.rules & applied)]
    is_idle = len(idle) == len(directive.entries)
    for entry in idle:
        if entry.rules:
            said = f"`{directive.verb}[{entry.text}]` silences nothing"
        else:
            said = f"no rule is named {entry.text!r}; {CHOICE.hint(entry.text)}"
        fix = None
        if not is_idle:
            fix = whole.fix_of(entry)
        elif entry is idle[0]:  # removes the whole directive
            fix = whole.fix()
        yield _finding(said, entry.start, entry.end, fix, path, text, layout)


def _keeps(directive: _Directive, line: int) -> bool:
    """Whether a directive silences `unused-ignore` on a line."""
    if directive.lines is not None and not directive.lines[0] <= line <= directive.lines[1]:
        return False
    return any(UNUSED_IGNORE.name in entry.rules for entry in directive.entries or ())


@dataclass(frozen=True)
class _Removal:
    """Removes a directive from its comment."""

    text: str
    directive: _Directive

    def fix(self) -> Fix:
        """Removes all of it: its part of the comment, or the line if nothing else is on it."""
        text, start, end = self.text, self.directive.start, self.directive.end
        before = max(text.rfind("\n", 0, start), text.rfind("\r", 0, start)) + 1
        line_end = _LINE_END.search(text, end)
        stop = len(text) if line_end is None else line_end.start()
        if text[end:stop].strip():  # another part of the comment follows
            end += len(text[end:stop]) - len(text[end:stop].lstrip())
        else:
            end = stop
            start = before + len(text[before:start].rstrip())
            if start == before and line_end is not None:
                end = line_end.end()
        return Fix("remove it", (Edit(start, end, ""),))

    def fix_of(self, entry: _Entry) -> Fix:
        """Removes one name from the brackets, with a comma."""
        assert self.directive.entries is not None
        at = self.directive.entries.index(entry)
        if at:
            start, end = self.directive.entries[at - 1].end, entry.end
        else:
            start, end = entry.start, self.directive.entries[1].start
        return Fix("remove it", (Edit(start, end, ""),))


def _finding(
    message: str,
    start: int,
    end: int,
    fix: Fix | None,
    path: str,
    text: str,
    layout: _Layout,
) -> SourceFinding:
    line, column = layout.place(start)
    end_line, end_column = layout.place(end)
    rule = UNUSED_IGNORE
    begin = layout.starts[line - 1]
    return SourceFinding(
        path,
        line,
        column,
        end_line,
        end_column,
        rule.code,
        rule.name,
        rule.severity,
        message,
        "" if fix is None else fix.does,
        _LINE_END.split(text[begin:], 1)[0],
        fix,
    )
