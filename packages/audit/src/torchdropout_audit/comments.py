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
from dataclasses import dataclass

from .files import UNREADABLE
from .findings import Edit, Fix, SourceFinding, finding_at
from .lines import Lines
from .registry import CHOICE, FINDERS, RULES, SYNTAX_ERROR, UNUSED_IGNORE

NOT_IGNORED = frozenset({SYNTAX_ERROR.name, UNREADABLE.name, UNUSED_IGNORE.name})
"""Rules that `add_ignores` skips: a comment cannot silence them, or would hide one to delete."""

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
_Place = tuple[str, int]
_FILE: _Place = ("file", 0)
_SPACES = (
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
    *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
)
# What may precede a comment that applies to the file: nothing, or the docstring.
_NO_CODE = *_SPACES, tokenize.STRING
# From Python 3.12 on an f-string has several tokens, and from 3.14 on so has a t-string.
_OPENING = {getattr(tokenize, name, None) for name in ("FSTRING_START", "TSTRING_START")} - {None}
_CLOSING = {getattr(tokenize, name, None) for name in ("FSTRING_END", "TSTRING_END")} - {None}


@dataclass
class _Entry:
    """A name in the brackets, its place, and the rules it means."""

    text: str
    start: int
    end: int
    rules: frozenset[str]


@dataclass
class _Directive:
    """One directive of a comment.

    Attributes:
        verb: `ignore`, `ignore-file` or `mc-dropout`.
        start: Where its part of the comment begins, in the text.
        end: Where that part ends.
        marked_end: Where the directive itself ends, without a reason.
        place: What it applies to: a line, the statement that begins on one, or the file.
        entries: What is in its brackets; None if it has none.
        is_closed: False if the closing bracket is missing.
    """

    verb: str
    start: int
    end: int
    marked_end: int
    place: _Place
    entries: list[_Entry] | None
    is_closed: bool

    @property
    def rules(self) -> frozenset[str]:
        """The rules that it silences where it applies."""
        if self.verb == "mc-dropout":
            return ON_PURPOSE
        if self.entries is None:
            return frozenset(RULES)
        return frozenset().union(*(entry.rules for entry in self.entries))


class _Layout(Lines):
    """A text, and where its lines and statements are.

    Attributes:
        statements: The first and the last line of each, in order.
        closed: The lines whose end is in a string, or escaped.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.statements: list[tuple[int, int]] = []
        self.closed: set[int] = set()

    def statement(self, line: int) -> tuple[int, int]:
        """Returns the lines of the statement (of a compound one, its head) that has a line."""
        begun = self.begun(line)
        if begun and line <= self.statements[begun - 1][1]:
            return self.statements[begun - 1]
        return line, line

    def begun(self, line: int) -> int:
        """Returns how many statements begin on a line or above it."""
        return bisect_right(self.statements, line, key=lambda lines: lines[0])

    def places(self, first: int, last: int) -> list[_Place]:
        """Returns what a directive may apply to so that it counts for some lines of a statement."""
        start, end = self.statement(first)
        lines = range(first, min(last, end) + 1)
        return [_FILE, ("statement", start), *(("line", line) for line in lines)]

    def room(self, first: int, last: int) -> int | None:
        """Returns the line at whose end a comment silences findings on some lines, if any does."""
        _, end = self.statement(first)
        if not self.statements or end > self.statements[-1][1]:  # not all of it could be read
            return None
        lines = (*range(first, min(last, end) + 1), end)
        return next((line for line in lines if line not in self.closed), None)


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
    silenced: dict[_Place, set[str]] = {}
    for directive in directives:
        silenced.setdefault(directive.place, set()).update(directive.rules)
    left = []
    used: set[tuple[_Place, str]] = set()
    for finding in findings:
        # A finding on a class is about its head: a comment inside the class does not silence it.
        places = layout.places(finding.line, finding.end_line)
        hits = {(p, finding.name) for p in places if finding.name in silenced.get(p, ())}
        used |= hits
        left += [] if hits else [finding]
    is_whole = not any(finding.code == SYNTAX_ERROR.code for finding in findings)
    if is_whole and (rules is None or UNUSED_IGNORE.name in rules):
        kept = {directive.place for directive in directives if _names_unused(directive)}
        for directive in directives:
            line = layout.place(directive.start)[0]
            if not _names_unused(directive) and kept.isdisjoint(layout.places(line, line)):
                left += _unused(directive, path, rules, layout, used)
    return sorted(left, key=lambda each: (each.line, each.column, each.code))


def add_ignores(text: str, findings: Sequence[SourceFinding]) -> tuple[str, int]:
    r"""Adds comments that silence findings, to the lines where they begin.

    A rule is added to the brackets that a line has; another comment stays in front. Where a line
    ends in a string or with a backslash, the comment is at the end of the statement.

    Args:
        text: The source.
        findings: What is found in it. Those that no comment should silence are left: see
            `NOT_IGNORED`.

    Returns:
        The new text, and how many findings it silences.

    Example:
        >>> found = SourceFinding("f.py", 1, 1, 1, 2, "TD123", "p-one", "advice", "said")
        >>> add_ignores("nn.Dropout(1.0)  # all\r\n", [found])
        ('nn.Dropout(1.0)  # all  # torchdropout: ignore[p-one]\r\n', 1)
    """
    directives, layout = _read(text)
    wanted: dict[int, dict[str, None]] = {}
    count = 0
    for finding in sorted(findings, key=lambda f: (f.line, f.code)):
        line = None
        if finding.name not in NOT_IGNORED:
            line = layout.room(finding.line, finding.end_line)
        if line is not None:
            wanted.setdefault(line, {})[finding.name] = None
            count += 1
    lists = (d for d in directives if d.verb == "ignore" and d.is_closed)
    known = {layout.place(d.start)[0]: d for d in lists if d.entries is not None}
    for line in sorted(wanted, reverse=True):  # from the last, so that earlier places stay valid
        names = ", ".join(wanted[line])
        if line in known:
            entries = known[line].entries
            start = end = entries[-1].end if entries else text.index("[", known[line].start) + 1
            names = f", {names}" if entries else names
        else:
            begin = layout.starts[line - 1]
            end = layout.end_of(line)
            start = begin + len(text[begin:end].rstrip())
            names = f"  # torchdropout: ignore[{names}]"
        text = text[:start] + names + text[end:]
    return text, count


# --- Reading ------------------------------------------------------------------------------------


def _read(text: str) -> tuple[list[_Directive], _Layout]:
    layout = _Layout(text)
    comments: list[tuple[int, int, str, bool, bool]] = []
    first: int | None = None  # the line on which the current statement begins
    is_above_code = True
    opened: list[int] = []  # the lines on which strings of several tokens begin
    for token in _tokens(text):
        if token.type in _OPENING:
            opened.append(token.start[0])
        begun = opened.pop() if token.type in _CLOSING else token.start[0]
        layout.closed.update(range(begun, token.end[0]))  # only strings have several lines
        if token.type == tokenize.COMMENT:
            line, column = token.start
            begin = layout.starts[line - 1]
            is_alone = not text[begin : begin + column].strip()
            comments.append((line, column, token.string, is_alone, is_above_code))
        elif token.type == tokenize.NEWLINE:
            if first is not None:
                layout.statements.append((first, token.start[0]))
            first = None
        elif token.type not in _SPACES:
            first = token.start[0] if first is None else first
        if token.type not in _NO_CODE:
            is_above_code = False
    commented = {line for line, *_ in comments}
    layout.closed.update(
        line
        for line in range(1, len(layout.starts) + 1)
        if line not in commented and layout.line(line).endswith("\\")
    )
    found = []
    for line, column, comment, is_alone, is_above in comments:
        offset = layout.starts[line - 1] + column
        place = _spoken_of(layout, line, is_alone)
        for part in _PART.finditer(comment):
            match = _DIRECTIVE.match(part.group())
            if match is not None:
                is_of_file = match["verb"].lower() == "ignore-file" or (
                    match["verb"].lower() == "mc-dropout" and is_alone and is_above
                )
                at = _FILE if is_of_file else place
                found.append(_directive(match, offset + part.start(), part, at))
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


def _spoken_of(layout: _Layout, line: int, is_alone: bool) -> _Place:
    first, last = layout.statement(line)
    if first < line == last:  # after the end of a statement with several lines
        return "statement", first
    if not is_alone:
        return "line", line
    if first < line:  # inside a statement: applies to the next line
        return "line", line + 1
    after = layout.begun(line)
    return "statement", layout.statements[after][0] if after < len(layout.statements) else line


def _directive(match: re.Match[str], start: int, part: re.Match[str], place: _Place) -> _Directive:
    entries = None
    if match["list"] is not None:
        at = start + match.start("names")
        entries = [
            _Entry(name.group(), at + name.start(), at + name.end(), CHOICE.matching(name.group()))
            for name in (_NAME.finditer(match["names"]) if match["closed"] else ())
        ]
    end, marked_end = (start + len(each.group().rstrip()) for each in (part, match))
    is_closed = match["list"] is None or match["closed"] is not None
    return _Directive(match["verb"].lower(), start, end, marked_end, place, entries, is_closed)


# --- Comments that silence nothing -----------------------------------------------------------


def _unused(
    directive: _Directive,
    path: str,
    rules: Collection[str] | None,
    layout: _Layout,
    used: set[tuple[_Place, str]],
) -> Iterator[SourceFinding]:
    def is_used(named: frozenset[str]) -> bool:
        return any((directive.place, rule) in used for rule in named)

    if directive.verb == "mc-dropout":  # states an intention, whether or not a rule would report it
        return
    applied = set(FINDERS) if rules is None else set(rules)
    said, whole = f"`{directive.verb}` silences nothing", _removal(directive, layout)
    if not directive.entries:
        if not directive.is_closed:
            said = f"`{directive.verb}` has no closing bracket, and silences nothing"
        elif directive.entries is not None:
            said = f"`{directive.verb}` names no rule, and silences nothing"
        elif is_used(directive.rules) or not applied >= set(FINDERS):
            return
        span = (directive.start, directive.marked_end)
        yield finding_at(layout, path, UNUSED_IGNORE, span, said, whole.does, whole)
        return
    entries = directive.entries
    idle = [
        (place, each)
        for place, each in enumerate(entries)
        if not is_used(each.rules) and (not each.rules or each.rules & applied)
    ]
    for place, entry in idle:
        if entry.rules:
            said = f"`{directive.verb}[{entry.text}]` silences nothing"
        else:
            said = f"no rule is named {entry.text!r}; {CHOICE.hint(entry.text)}"
        fix = None
        if len(idle) < len(entries):
            fix = _removal_of(entries, place)
        elif place == 0:  # removes the whole directive
            fix = whole
        span, hint = (entry.start, entry.end), "" if fix is None else fix.does
        yield finding_at(layout, path, UNUSED_IGNORE, span, said, hint, fix)


def _names_unused(directive: _Directive) -> bool:
    """Whether a directive silences `unused-ignore`."""
    return any(UNUSED_IGNORE.name in entry.rules for entry in directive.entries or ())


def _removal(directive: _Directive, layout: _Layout) -> Fix:
    """Removes a directive: its part of the comment, or the line if nothing else is on it."""
    text, start, end = layout.text, directive.start, directive.end
    line, _ = layout.place(start)
    before, stop = layout.starts[line - 1], layout.end_of(line)
    if text[end:stop].strip():  # another part of the comment follows
        end += len(text[end:stop]) - len(text[end:stop].lstrip())
    else:
        end = stop
        start = before + len(text[before:start].rstrip())
        if start == before and line < len(layout.starts):
            end = layout.starts[line]
    return Fix("remove it", (Edit(start, end, ""),))


def _removal_of(entries: Sequence[_Entry], place: int) -> Fix:
    """Removes one name from the brackets, with a comma."""
    if place:
        start, end = entries[place - 1].end, entries[place].end
    else:
        start, end = entries[0].start, entries[1].start
    return Fix("remove it", (Edit(start, end, ""),))
