"""Reads the fixtures: cases, their files, and the findings and fixes that are marked in them.

A fixture begins with imports, which stand before each of its cases. Lines that begin with `# ---`
part it:

    # --- case: TITLE               a source that is audited on its own, after the imports
    # --- file: PATH                a file of the case, which has no other imports than its own
    # --- instead of: LINE          the case again, with this line replaced by those that follow
    # --- instead of 3 lines: LINE  the same of three lines, of which the first is given
    # --- clean instead of: LINE    the same, and no other line of the case has a finding then

Findings are marked where they begin, and fixes below the line that they change:

    return F.dropout(x, self.p)  # TD101: drops in eval too
    # fix: return F.dropout(x, self.p, training=self.training)

A mark has the code, `advice` if the finding is one, and a part of the message and the hint.
`# fix: LINE` is what `--fix` makes of the line, and `# unsafe fix: LINE` what `--unsafe-fixes`
does; without a LINE it is removed. None of this reaches the audit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"
FILES = sorted({*FIXTURES.glob("*.py")} - {FIXTURES / "conftest.py"})
DEFAULT = "src/model.py"

_BEGINS = re.compile(
    r"# --- (?P<kind>case|file|instead of|clean instead of)(?: (?P<count>\d+) lines)?: (?P<said>.+)"
)
_MARK = re.compile(r"\s+# (?P<code>TD\d{3})(?P<advice> advice)?: (?P<part>.*?)(?=\s+# TD\d|$)")
_FIX = re.compile(r"(?P<indent>\s*)# (?P<unsafe>unsafe )?fix:(?: (?P<line>.*))?")


@dataclass
class Mark:
    """A finding that is expected, or one that was found."""

    code: str
    severity: str
    said: str

    def is_of(self, found: Mark) -> bool:
        """Whether a finding is the one that is expected."""
        same = (self.code, self.severity) == (found.code, found.severity)
        return same and self.said in found.said


@dataclass
class Line:
    """A line of a case, with the findings that are expected."""

    number: int  # in the fixture
    text: str
    marks: list[Mark] = field(default_factory=list)
    safe: list[str] | None = None  # what `--fix` makes of it; None where it stays
    unsafe: list[str] | None = None  # of `--unsafe-fixes`; None where that is the same


@dataclass
class File:
    """A file of a case."""

    path: str
    lines: list[Line]

    @property
    def text(self) -> str:
        """What is audited."""
        return "\n".join([*(line.text for line in self.lines), ""])

    def fixed(self, unsafe: bool) -> str:
        """What is left after the safe fixes, or after all."""
        lines: list[str] = []
        for line in self.lines:
            new = line.unsafe if unsafe and line.unsafe is not None else line.safe
            lines += [line.text] if new is None else [] if new == [""] else new
        return "\n".join([*lines, ""])


@dataclass
class Case:
    """A case of a fixture; most have one file."""

    fixture: Path
    line: int
    title: str
    files: list[File]


def cases(fixture: Path) -> Iterator[Case]:
    """Yields the cases of a fixture."""
    numbered = list(enumerate(fixture.read_text(encoding="utf-8").splitlines(), 1))
    starts = [i for i, (_, line) in enumerate(numbered) if _BEGINS.fullmatch(line)]
    head = _read(numbered[: starts[0]])
    case, tried = None, 0
    for start, end in zip(starts, [*starts[1:], len(numbered)], strict=True):
        number, begins = numbered[start]
        said = _BEGINS.fullmatch(begins)
        lines = _read(numbered[start + 1 : end])
        if said["kind"] == "file":
            if [line.text for line in case.files[0].lines if line not in head] == []:
                case.files.clear()  # all of its files are given
            case.files.append(File(said["said"], lines))
        elif said["kind"] == "case":
            if case:
                yield case
            case, tried = Case(fixture, number, said["said"], [File(DEFAULT, [*head, *lines])]), 0
        else:
            if not tried:
                yield case
            tried += 1
            yield _variant(case, said, number, lines, f"{case.title}, {tried}")
    if case and not tried:
        yield case


def _variant(case: Case, said: re.Match[str], number: int, lines: list[Line], title: str) -> Case:
    files = [File(file.path, [replace(line) for line in file.lines]) for file in case.files]
    places = [
        (file, i)
        for file in files
        for i, line in enumerate(file.lines)
        if line.text.strip() == said["said"]
    ]
    assert len(places) == 1, f"{case.fixture.name}:{number}: {len(places)} such lines in the case"
    if said["kind"].startswith("clean"):
        for line in (line for file in files for line in file.lines):
            line.marks, line.safe, line.unsafe = [], None, None
    [(file, i)] = places
    file.lines[i : i + int(said["count"] or 1)] = [each for each in lines if each.text.strip()]
    return Case(case.fixture, number, title, files)


def _read(numbered: list[tuple[int, str]]) -> list[Line]:
    """Returns the lines with what is marked in them; blank ones at the end are left out."""
    lines: list[Line] = []
    for number, text in numbered:
        if fix := _FIX.fullmatch(text):
            new = fix["indent"] + fix["line"] if fix["line"] else ""
            name = "unsafe" if fix["unsafe"] else "safe"
            setattr(lines[-1], name, [*(getattr(lines[-1], name) or []), new])
            continue
        marks = [
            Mark(mark["code"], "advice" if mark["advice"] else "error", mark["part"])
            for mark in _MARK.finditer(text)
        ]
        text = _MARK.sub("", text)
        assert not re.search(r"# (TD\d|(unsafe )?fix:|--- )", text), f"{number}: not a mark: {text}"
        lines.append(Line(number, text, marks))
    while lines and not lines[-1].text.strip():
        lines.pop()
    return lines
