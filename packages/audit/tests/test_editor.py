"""What an editor shows of a document, without a protocol."""

import itertools
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from torchdropout_audit import editor
from torchdropout_audit.editor import Document, Settings, is_source, lines_of
from torchdropout_audit.errors import ArgumentValueError
from torchdropout_audit.registry import RULES

ALL = frozenset(RULES)
BAD = "from torch import nn\ndrop = nn.Dropout(1.5)\n"


def applied(text, changes):
    starts = [0, *itertools.accumulate(map(len, lines_of(text)))]

    def offset(place):
        return starts[place[0]] + place[1]

    for change in sorted(changes, key=lambda c: offset(c.start), reverse=True):
        text = text[: offset(change.start)] + change.text + text[offset(change.end) :]
    return text


TEXTS = st.lists(st.sampled_from(["a", "b", "ab", "\n", "\r\n", "\x0c", ""]), max_size=12).map(
    "".join
)


@given(TEXTS, TEXTS)
@example("a", "a\nb")
@example("a\n", "a")
@example("", "a")
@example("0123456789abc", "x123456789ayc")
@example("\n".join("0123456789abc"), "\n".join("x123456789ayc"))
@example("0k123456789r", "zkr")
@example("zkr", "0k123456789r")
@example("\n".join("0k123456789r"), "\n".join("zkr"))
@example("\n".join("zkr"), "\n".join("0k123456789r"))
@example("\n".join("0kyr"), "\n".join("zkr"))
@example("\n".join("zkr"), "\n".join("0kyr"))
def test_the_changes_make_one_text_of_the_other(before, after):
    changes = list(editor._differences(0, before, after))
    assert applied(before, changes) == after
    assert bool(changes) == (before != after)
    places = [place for change in changes for place in (change.start, change.end)]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("", "a", [((0, 0), (0, 0), "a")]),
        ("a", "ab", [((0, 1), (0, 1), "b")]),
        ("a\nb", "a\nbc", [((1, 1), (1, 1), "c")]),
        ("a\nb", "a\n", [((1, 0), (1, 1), "")]),
        ("a\n", "a\nb", [((1, 0), (1, 0), "b")]),
        ("a\r", "a\rb", [((1, 0), (1, 0), "b")]),
        ("a\nxyz\nb", "a\nxwz\nb", [((1, 1), (1, 2), "w")]),
        ("a\nb\nc\n", "a\nc\n", [((1, 0), (2, 0), "")]),
        ("a1\nb\nc1", "a2\nb\nc2", [((0, 1), (0, 2), "2"), ((2, 1), (2, 2), "2")]),
    ],
)
def test_changes_are_small_and_their_places_exist(before, after, changes):
    found = editor._differences(7, before, after)
    assert [*found] == [editor.Change(7, *change) for change in changes]


@pytest.mark.timeout(60)
def test_many_changes_of_a_long_document_take_no_minutes():
    kinds = "def f():\n    x = 1\n\n\n", "def g():\n    pass\n\n\n"
    before = "".join(kinds[0].replace("f", f"f{i}") for i in range(400)) + kinds[1] * 3000
    after = before.replace("x = 1", "x = 12")
    changes = list(editor._differences(0, before, after))
    assert [change.text for change in changes] == ["2"] * 400
    assert applied(before, changes) == after


@pytest.mark.parametrize("text", ["", "a", "a\n", "a\r\nb\rc\n\nd", "a\x0cb\x85c\u2028\n", "\r\n"])
def test_lines_end_where_editors_end_them(text):
    assert "".join(lines_of(text)) == text
    plain = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert [line.rstrip("\r\n") for line in lines_of(text)] == [
        *plain[:-1],
        *filter(None, plain[-1:]),
    ]


def test_a_long_document_is_not_parsed(monkeypatch):
    assert len(Document("a.py", [BAD], ALL).found) == 1
    monkeypatch.setattr(editor, "MOST", len(BAD))
    assert len(Document("a.py", [BAD], ALL).found) == 1
    monkeypatch.setattr(editor, "MOST", len(BAD) - 1)
    document = Document("a.py", [BAD], ALL)
    assert document.found == ()
    assert document.problem == f"a.py: {len(BAD)} characters are more than {len(BAD) - 1}"


def test_what_cannot_be_meant_is_not_parsed(monkeypatch):
    monkeypatch.delattr(editor, "audit_text")
    assert Document("a.py", ["x = ("], ALL).found == ()
    assert Document("a.py", [BAD], frozenset()).found == ()


def test_a_lone_surrogate_is_no_reason_to_fail():
    [found] = Document("a.py", [f"{BAD}'\ud800'"], ALL).found
    assert found.finding.code == "TD001"


@pytest.mark.parametrize("is_notebook", [False, True])
@pytest.mark.parametrize(
    ("head", "body", "fixed"),
    [
        ("class A(nn.Module):", "F.dropout(x, 0.1)", "F.dropout(x, 0.1, training=self.training)"),
        ("if 1:", "F.dropout(x, self.training)", "F.dropout(x, training=self.training)"),
    ],
)
def test_what_is_offered_for_a_finding(head, body, fixed, is_notebook):
    before = "from torch import nn\nimport torch.nn.functional as F\n"
    text = f"{head}\n    def f(self, x):\n        return {body}\n"
    texts = [before, text] if is_notebook else [before + text]
    document = Document("a.py", texts, ALL, is_notebook=is_notebook)
    assert (document.texts, document.problem) == (tuple(texts), "")
    [found] = document.found
    finding, is_safe = found.finding, head != "if 1:"
    place = (1, 2) if is_notebook else (0, 4)
    assert (found.part, found.start[0], finding.fix.safe) == (*place, is_safe)
    fix, ignore = document.fix(finding), document.ignore(finding)
    assert {change.part for change in (*fix, *ignore)} == {place[0]}
    assert applied(texts[-1], fix) == texts[-1].replace(body, fixed)
    comment = f"  # torchdropout: ignore[{finding.name}]\n"
    assert applied(texts[-1], ignore) == texts[-1][:-1] + comment
    assert document.fix_all == (fix if is_safe else ())


def test_the_rules_at_a_place():
    cells = [
        "from torch import nn\nnn.Dropout(1.0)",
        "x = 1\nx = 1  # torchdropout: ignore[p-zero]",
    ]
    for is_notebook in (False, True):
        texts = cells if is_notebook else ["\n".join(cells)]
        document = Document("a.py", texts, ALL, is_notebook=is_notebook)
        last, first = (1, 1) if is_notebook else (0, 3)
        assert [f.finding.name for f in document.found] == ["p-one", "unused-ignore"]
        for column in range(20):
            expected = ("p-one",) if 11 <= column <= 14 else ()
            assert document.rules_at(0, (1, column)) == expected
            assert document.rules_at(last, (first - 1, column)) == ()
        start = cells[1].index("p-zero") - len("x = 1\n")
        for column in range(start + 10):
            expected = ("unused-ignore", "p-zero") if start <= column <= start + 6 else ()
            assert document.rules_at(last, (first, column)) == expected
        for line in (first + 1, first + 2, 99):
            assert document.rules_at(last, (line, 0)) == ()
    document = Document("a.py", ["f()  # torchdropout: ignore[p-zero, p-one]"], ALL - {"p-one"})
    named = [document.rules_at(0, (0, column))[-1:] for column in range(28, 42)]
    assert named == [("p-zero",)] * 7 + [()] + [("p-one",)] * 6


def test_the_path_decides_what_is_a_test():
    text = "from torch import nn\ndrop = nn.Dropout(1.0)\n"
    assert len(Document("src/a.py", [text], ALL).found) == 1
    assert Document("tests/test_a.py", [text], ALL).found == ()


@pytest.mark.parametrize(
    ("path", "folder", "expected"),
    [
        ("/p/a.py", "/p", True),
        ("/p/src/a.py", "/p", True),
        ("/p/.venv/lib/a.py", "/p", False),
        ("/p/build/a.py", "/p", False),
        ("/build/p/a.py", "/build/p", True),
        ("/p/build", "/p", True),
        ("/build/a.py", None, True),
        ("/usr/lib/python3/site-packages/a.py", None, False),
        ("/usr/lib/python3/dist-packages/a/b.py", None, False),
    ],
)
def test_which_files_are_the_projects_own(path, folder, expected):
    assert is_source(Path(path), folder and Path(folder)) is expected


def test_settings_of_a_folder(tmp_path):
    deep = tmp_path / "deep"
    deep.mkdir()
    assert Settings.of(deep).rules == ALL
    table = tmp_path / "pyproject.toml"
    table.write_text(
        "[tool.torchdropout.audit]\nselect = ['TD12']\nignore = ['p-zero']\n"
        "exclude = ['old/']\nextend-exclude = ['*_x.py']\n"
        "per-file-ignores = { 'b.py' = ['p-one'] }\n"
    )
    settings = Settings.of(deep)
    rates = {name for name, rule in RULES.items() if rule.code.startswith("TD12")} - {"p-zero"}
    assert settings.rules_for(deep / "a.py") == rates
    assert settings.rules_for(deep / "b.py") == rates - {"p-one"}
    assert settings.rules_for(tmp_path / "old" / "a.py") is None
    assert settings.rules_for(deep / "a_x.py") is None
    table.write_text("[tool.torchdropout.audit]\nno = 1\n")
    with pytest.raises(ArgumentValueError, match="got 'no'"):
        Settings.of(deep)


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such timer")
def test_a_text_that_takes_too_long_is_said(monkeypatch):
    audit_text = editor.audit_text

    def audit(text, path, rules):
        while "training=self.training" in text:
            pass
        return audit_text(text, path, rules)

    monkeypatch.setattr(editor, "audit_text", audit)
    monkeypatch.setattr(editor, "MOST_SECONDS", 0.2)
    bad = (
        "import torch.nn as nn\nimport torch.nn.functional as F\n\n\nclass Net(nn.Module):\n"
        "    def forward(self, x):\n        return F.dropout(x, 0.1)\n"
    )
    document = Document("a.py", [bad], ALL)
    assert document.found
    assert document.fix_all == ()  # what it makes is audited, too
    slow = Document("a.py", [bad.replace("0.1)", "0.1, training=self.training)")], ALL)
    assert slow.found == ()
    assert "not audited: it takes more than" in slow.problem
