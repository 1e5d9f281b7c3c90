"""The audit finds what is marked in the fixtures, and nothing else, and fixes it as they say."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from _fixtures import FILES, FIXTURES, Case, File, Mark, cases
from torchdropout_audit import SourceFinding, audit_paths, audit_text
from torchdropout_audit.registry import RULES
from torchdropout_audit.run import audit_data

CASES = [case for file in FILES for case in cases(file)]
ALL = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.fixture.stem}-{case.title}")


@pytest.fixture(scope="module", autouse=True)
def _project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The current folder is a project without files."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


def audit(case: Case, folder: Path) -> list[tuple[File, list[SourceFinding]]]:
    """The findings in each file; several files lie in one folder."""
    if len(case.files) == 1:
        return [(file, audit_text(file.text, file.path)) for file in case.files]
    (folder / "pyproject.toml").touch()
    paths = [folder / file.path for file in case.files]
    for file, path in zip(case.files, paths, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, encoding="utf-8")
    report = audit_paths(paths, cache=False, jobs=1)
    assert report.problems == ()
    return [
        (file, [f for f in report.findings if f.path == str(path)])
        for file, path in zip(case.files, paths, strict=True)
    ]


def differences(case: Case, file: File, findings: list[SourceFinding]) -> list[str]:
    """What is expected and not found, and what is found and not expected: a line each."""
    said: list[str] = []
    for number, line in enumerate(file.lines, 1):
        found = [
            Mark(f.code, f.severity, f"{f.message}; {f.hint}" if f.hint else f.message)
            for f in findings
            if f.line == number
        ]
        for mark in line.marks:
            if same := [each for each in found if mark.is_of(each)]:
                found.remove(same[0])
            else:
                said.append(f"{case.fixture}:{line.number}: expected {mark}")
        said += [f"{case.fixture}:{line.number}: got {mark}" for mark in found]
    last = len(file.lines)
    return said + [f"{case.fixture}:{case.line}: got {f}" for f in findings if f.line > last]


@ALL
def test_findings(case: Case, request: pytest.FixtureRequest) -> None:
    folder = Path() if len(case.files) == 1 else request.getfixturevalue("tmp_path")
    audited = audit(case, folder)
    wrong = [each for file, found in audited for each in differences(case, file, found)]
    assert not wrong, "\n".join(["", *wrong])


FIXABLE = [
    case
    for case in CASES
    if len(case.files) == 1 and any(line.marks for line in case.files[0].lines)
]


@pytest.mark.parametrize("how", ["safe", "unsafe"])
@pytest.mark.parametrize("case", FIXABLE, ids=lambda case: f"{case.fixture.stem}-{case.title}")
def test_fixes(case: Case, how: Literal["safe", "unsafe"]) -> None:
    """The text becomes what is marked, and the rule finds no more there."""
    [file] = case.files
    before = audit_text(file.text, file.path)
    tried = Counter(f.code for f in before if f.fix and (f.fix.safe or how == "unsafe"))
    if not tried:
        assert file.fixed(how == "unsafe") == file.text, f"{case.fixture}:{case.line}: no fix"
        return
    report, data = audit_data(file.text.encode(), file.path, fix=how)
    assert data.decode() == file.fixed(how == "unsafe"), f"{case.fixture}:{case.line}"
    if report.fixed:
        ast.parse(data)
        left, known = (Counter(f.code for f in each) for each in (report.findings, before))
        assert all(left[code] <= known[code] - count for code, count in tried.items())


RULE_FILES = {rule.code: name.replace("-", "_") for name, rule in RULES.items()}


@pytest.mark.parametrize("code", [code for code in RULE_FILES if code.startswith(("TD1", "TD2"))])
def test_a_rule_has_a_fixture(code: str) -> None:
    """With findings of the rule, and with what looks like them and has none."""
    lines = [
        line
        for case in cases(FIXTURES / f"{RULE_FILES[code]}.py")
        for file in case.files
        for line in file.lines
    ]
    marked = {line.number for line in lines if code in [mark.code for mark in line.marks]}
    assert len(marked) >= 3
    assert len({line.number for line in lines}) > 5 * len(marked) / 2
