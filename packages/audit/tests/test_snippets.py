"""The audit finds what a reader marked in the snippets, and nothing else."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from torchdropout_audit.findings import SourceFinding
from torchdropout_audit.fix import fix_all, parses
from torchdropout_audit.registry import FINDERS
from torchdropout_audit.source import audit_text

SNIPPETS = Path(__file__).parent / "snippets"
FILES = sorted(SNIPPETS.glob("*/*.py"))
BAD = [file for file in FILES if file.stem.startswith("bad_")]

MARK = re.compile(r"\s*#! (?P<name>[a-z-]+)(?P<advice> advice)?(?=\s|$)")
PATH = re.compile(r"#! path: (?P<path>\S+)")


class Place(NamedTuple):
    """What is compared: a finding, or a mark."""

    line: int
    name: str
    severity: str


class Snippet(NamedTuple):
    """A snippet as the audit gets it, and what it must say."""

    path: str
    text: str
    marks: list[Place]


def read(file: Path) -> Snippet:
    """Parts the marks from the text; every line stays where it was."""
    path = "src/model.py"
    lines = []
    marks = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if said := PATH.fullmatch(line):
            path = said["path"]
            line = ""
        for mark in MARK.finditer(line):
            severity = "advice" if mark["advice"] else "error"
            marks.append(Place(number, mark["name"], severity))
        lines.append(MARK.sub("", line))
        assert "#!" not in lines[-1], f"{file}:{number}: a mark that cannot be read"
    return Snippet(path, "\n".join(lines) + "\n", sorted(marks))


def found(snippet: Snippet) -> list[Place]:
    findings = audit_text(snippet.text, snippet.path)
    return sorted(Place(f.line, f.name, f.severity) for f in findings)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_snippet(file: Path) -> None:
    snippet = read(file)
    assert found(snippet) == snippet.marks


@pytest.mark.parametrize("file", BAD, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_what_is_fixed_is_not_found_and_breaks_no_other_rule(file: Path) -> None:
    snippet = read(file)

    def audit(text: str) -> list[SourceFinding]:
        return audit_text(text, snippet.path)

    fixable = Counter(f.name for f in audit(snippet.text) if f.fix is not None)
    fixed = fix_all(snippet.text, audit, unsafe=True)
    left = audit(fixed.text)
    assert parses(fixed.text) or not fixed.count
    assert not [f for f in left if f.fix is not None]
    before = Counter(mark.name for mark in snippet.marks)
    assert Counter(f.name for f in left) <= before - fixable


def test_enough_errors() -> None:
    """All are found, and no others: each snippet has exactly the findings that it marks."""
    assert sum(mark.severity == "error" for file in FILES for mark in read(file).marks) >= 100


def test_names_of_files_say_what_is_in_them() -> None:
    for file in FILES:
        names = [mark.name for mark in read(file).marks]
        kind = file.stem.split("_")[0]
        assert kind == ("bad" if names else "clean"), file
        assert not names or file.parent.name in names, file


def test_enough_snippets() -> None:
    kinds = Counter(file.stem.split("_")[0] for file in FILES)
    assert kinds.total() >= 240
    assert kinds["clean"] >= kinds["bad"]


@pytest.mark.parametrize("name", FINDERS)
def test_every_rule_has_bad_and_clean_ones(name: str) -> None:
    bad, clean = (len(list((SNIPPETS / name).glob(f"{kind}_*.py"))) for kind in ("bad", "clean"))
    enough_bad, enough_clean = (6, 8) if FINDERS[name].rule.severity == "error" else (3, 4)
    assert bad >= enough_bad
    assert clean >= enough_clean
