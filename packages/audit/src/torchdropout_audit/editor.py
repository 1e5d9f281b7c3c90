"""What an editor shows of an open document: its findings, and the changes that fix them.

Nothing here knows the protocol. Places are lines and columns from 0, in characters.
"""

from __future__ import annotations

import difflib
import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

from .comments import add_ignores, rules_named_at, suppress
from .files import NOT_SOURCE, Source
from .findings import SourceFinding
from .fix import apply_fixes, fix_all
from .limit import TooLongError, within
from .notebooks import Notebook
from .patterns import Patterns
from .registry import chosen
from .run import MOST, MOST_SECONDS, may_break_a_rule, reported, too_long, too_many
from .settings import TABLE
from .source import audit_text

Place = tuple[int, int]
"""A line and a column, both from 0."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")


@dataclass(frozen=True)
class Settings:
    """The settings that apply in a folder.

    Attributes:
        root: The folder that patterns are relative to.
        rules: Names of the rules to apply.
        exclude: Patterns of what is not audited.
        per_file_ignores: For a pattern, names of rules that do not apply.
    """

    root: Path
    rules: frozenset[str]
    exclude: tuple[str, ...] = ()
    per_file_ignores: Mapping[str, frozenset[str]] | None = None

    @classmethod
    def of(cls, folder: Path) -> Settings:
        """Reads the nearest `pyproject.toml` with settings, from a folder upwards.

        Raises:
            ArgumentTypeError: A value in it has a wrong type.
            ArgumentValueError: It cannot be read, or has an unknown key or value.
        """
        path = TABLE.find(folder)
        if path is None:
            return cls(folder, chosen())
        read = TABLE.read(path)
        return cls(
            path.parent,
            chosen(read.get("select", ()), read.get("ignore", ())),
            (*read.get("exclude", ()), *read.get("extend-exclude", ())),
            read.get("per-file-ignores"),
        )

    def rules_for(self, path: Path) -> frozenset[str] | None:
        """Returns the rules that apply to a file; None if it is excluded."""
        if Patterns(self.root, self.exclude)(str(path)):
            return None
        ignored = {
            name
            for pattern, names in (self.per_file_ignores or {}).items()
            if Patterns(self.root, [pattern])(str(path))
            for name in names
        }
        return self.rules - ignored


def is_source(path: Path, folder: Path | None) -> bool:
    """Whether a file is the project's own, and not in an environment or a build.

    Args:
        path: The file.
        folder: The workspace folder that it is in, if any.

    Example:
        >>> is_source(Path("/p/.venv/lib/a.py"), Path("/p")), is_source(Path("/build/a.py"), None)
        (False, True)
    """
    if folder is not None:
        return NOT_SOURCE.isdisjoint(path.relative_to(folder).parts[:-1])
    return {"site-packages", "dist-packages"}.isdisjoint(path.parts)


@dataclass(frozen=True)
class Change:
    """Text that replaces other text of a part.

    Attributes:
        part: The cell of a notebook, from 0; 0 in other documents.
        start: Where the old text begins.
        end: Where it ends.
        text: The new text.
    """

    part: int
    start: Place
    end: Place
    text: str


@dataclass(frozen=True)
class Found:
    """A finding of an open document.

    Attributes:
        part: The cell of a notebook, from 0; 0 in other documents.
        start: Where it begins in its part.
        end: Where it ends.
        finding: The finding; its places are those of the text that was audited.
    """

    part: int
    start: Place
    end: Place
    finding: SourceFinding


class Document:
    """An open document after its audit.

    Attributes:
        texts: The text; of a notebook, the text of each code cell.
        lines: The lines of each text, with their ends.
        found: What was found, by place.
        problem: Why it could not be audited, or not all is in `found`; empty if neither is so.
    """

    def __init__(
        self, path: str, texts: Sequence[str], rules: frozenset[str], *, is_notebook: bool = False
    ) -> None:
        """Audits a document.

        Args:
            path: Its path: what is right in a test may be a mistake elsewhere.
            texts: The text; of a notebook, the text of each code cell.
            rules: Names of the rules to apply; if there are none, nothing is audited.
            is_notebook: Whether it is a notebook, which is read as one program.
        """
        self.texts = tuple(texts)
        self.lines = tuple(map(lines_of, texts))
        self.problem = ""
        self._path = path
        self._rules = rules
        self._notebook = Notebook(Source(_as_notebook(texts))) if is_notebook else None
        self._text = texts[0] if self._notebook is None else self._notebook.text
        found: list[SourceFinding] = []
        if len(self._text) > MOST:
            self.problem = f"{path}: {len(self._text):,} characters are more than {MOST:,}"
        elif rules and may_break_a_rule(self._text.encode(errors="surrogatepass")):
            try:
                found = self._audit(self._text)
            except TooLongError:
                self.problem = too_long(path)
        kept = reported(found)
        if len(kept) < len(found):
            self.problem = f"{path}: {too_many(found)}"
        self.found = tuple(map(self._found, kept))

    def fix(self, finding: SourceFinding) -> tuple[Change, ...]:
        """Returns the changes that fix a finding; none if it has no fix that parses."""
        return self._changes(apply_fixes(self._text, [finding], unsafe=True)[0])

    def ignore(self, finding: SourceFinding) -> tuple[Change, ...]:
        """Returns the changes that add a comment which silences a finding."""
        return self._changes(add_ignores(self._text, [finding])[0])

    @cached_property  # editors ask at each move of the cursor
    def fix_all(self) -> tuple[Change, ...]:
        """The changes of all safe fixes; none if the audit of the fixed text takes too long."""
        try:
            return self._changes(fix_all(self._text, self._audit).text)
        except TooLongError:
            return ()

    def rules_at(self, part: int, place: Place) -> tuple[str, ...]:
        """Returns the names of the rules that are found at a place, or named by a comment there."""
        found = [f.finding.name for f in self.found if f.part == part and f.start <= place <= f.end]
        starts = [0, *accumulate(map(len, self.lines[part]))]
        if place[0] < len(starts):
            found += sorted(rules_named_at(self.texts[part], starts[place[0]] + place[1]))
        return tuple(dict.fromkeys(found))

    def _audit(self, text: str) -> list[SourceFinding]:
        with within(MOST_SECONDS):
            found = audit_text(text, self._path, self._rules)
            return suppress(found, text, self._path, self._rules)

    def _found(self, finding: SourceFinding) -> Found:
        placed = finding if self._notebook is None else self._notebook.placed(finding)
        start = placed.line - 1, placed.column - 1
        end = placed.end_line - 1, placed.end_column - 1
        return Found(max(placed.cell - 1, 0), start, end, finding)

    def _changes(self, new: str) -> tuple[Change, ...]:
        news = [new]
        if self._notebook is not None:
            cells = json.loads(self._notebook.fixed(new))["cells"]
            news = [cell["source"] for cell in cells]
        return tuple(
            change
            for part, (before, after) in enumerate(zip(self.texts, news, strict=True))
            for change in _differences(part, before, after)
        )


def lines_of(text: str) -> list[str]:
    r"""Splits a text into lines with their ends, where Python's parser and editors do.

    Example:
        >>> lines_of("a\r\nb\x0c\rc")
        ['a\r\n', 'b\x0c\r', 'c']
    """
    return _LINE.findall(text)


def _as_notebook(texts: Sequence[str]) -> str:
    cells = [{"cell_type": "code", "source": text} for text in texts]
    return json.dumps({"cells": cells, "metadata": {}})


def _differences(part: int, before: str, after: str) -> Iterator[Change]:
    """Yields the changes that turn one text into another, each as small as it can be."""
    old, new = lines_of(before), lines_of(after)
    starts = [0, *accumulate(map(len, old))]
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    middle = old[head : len(old) - tail], new[head : len(new) - tail]
    # Frequent lines count as junk, by default: without that, long files take minutes.
    matcher = difflib.SequenceMatcher(None, *middle)
    for kind, first, last, new_first, new_last in matcher.get_opcodes():
        if kind == "equal":
            continue
        removed, added = "".join(middle[0][first:last]), "".join(middle[1][new_first:new_last])
        same = _common(removed, added)
        end = _common(removed[same:][::-1], added[same:][::-1])
        start = starts[head + first] + same
        stop = starts[head + last] - end
        text = added[same : len(added) - end]
        yield Change(part, _place(starts, old, start), _place(starts, old, stop), text)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Returns how many first elements are the same."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _place(starts: Sequence[int], lines: Sequence[str], offset: int) -> Place:
    line = bisect_right(starts, offset) - 1
    if line == len(lines) and line and not lines[-1].endswith(("\n", "\r")):
        line -= 1  # the end of a text without a newline is on its last line
    return line, offset - starts[line]
