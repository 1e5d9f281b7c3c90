"""Files that are wrong in every way: a clear line each, and the others are audited."""

import json
import os
import sys
import tracemalloc
from pathlib import Path

import pytest

from torchdropout_audit import run as run_module
from torchdropout_audit.registry import RULES
from torchdropout_audit.run import MOST, audit_paths
from torchdropout_audit.source import audit_text

GOOD = "import torch.nn as nn\nnn.Dropout(7)\n"
HEAD = "import torch.nn as nn\nd = nn.Dropout(0.5)\n"


@pytest.fixture(autouse=True)
def good(folder):
    """A file that has one error."""
    Path("good.py").write_text(GOOD)


def audited(data, name="bad.py"):
    """What is said of a file that holds these bytes: findings and problems, those of others too."""
    Path(name).write_bytes(data if isinstance(data, bytes) else data.encode())
    report = audit_paths(["."])
    # Asked again it says the same: of what it remembers, too.
    again = audit_paths(["."])
    assert (again.findings, again.problems) == (report.findings, report.problems)
    assert ("good.py", "p-out-of-range") in [(f.path, f.name) for f in report.findings]
    found = [f for f in report.findings if f.path == name]
    for finding in found:
        assert finding.line >= 1
        assert finding.column >= 1
        assert finding.message
        assert "\n" not in finding.message
        assert RULES[finding.name].code == finding.code
    return found, list(report.problems)


def told(data, name="bad.py"):
    found, problems = audited(data, name)
    return [(f.name, f.severity, f.line, f.message) for f in found], problems


# --- Text ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (HEAD.encode() + b"# caf\xe9\n", 3, "not utf-8"),
        (b"# coding: klingon\n" + HEAD.encode(), 1, "unknown encoding: klingon, by the rules of"),
        (b"\xef\xbb\xbf# coding: latin-1\n" + HEAD.encode(), 1, "encoding problem: utf-8, by the"),
        (b"# coding: hex\n" + HEAD.encode(), 1, "not an encoding of text"),
        (b"# coding: undefined\n" + HEAD.encode(), 1, ""),
        (b"# \xff\xfe\n" + HEAD.encode(), 1, "invalid or missing encoding declaration"),
        (b"# coding: ascii\n" + HEAD.encode() + b"\xc3\xa9", 4, "not ascii"),
        *((HEAD.encode(c), 1, "UTF-16 or UTF-32") for c in ("utf-16", "utf-32")),
    ],
)
def test_what_cannot_be_decoded(data, line, message):
    [(name, severity, at, said)], problems = told(data)
    assert (name, severity, at, problems) == ("unreadable", "error", line, [])
    assert message in said


@pytest.mark.parametrize(
    ("codec", "letter"),
    [
        *(("latin-1", "é"), ("cp1252", "é"), ("utf-8", "é")),
        *(("shift_jis", "\u30c9"), ("koi8-r", "д"), ("gbk", "д")),
    ],
)
def test_what_another_encoding_says_is_read(codec, letter):
    text = f"# -*- coding: {codec} -*-\nimport torch.nn as nn\nnn.Dropout(7)\n"
    [finding], _ = audited((text + f"# {letter}\n").encode(codec))
    assert (finding.line, finding.column) == (3, 12)


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.replace("\n", "\r").encode(),
        GOOD.replace("import", "if 1:\n\timport").replace("\nnn.", "\n\tnn.").encode(),
        GOOD.replace("\nnn", "\n\x0cnn").encode(),
        GOOD.rstrip("\n").encode(),
        GOOD.replace("import", "'''\u2028\x0b\x85'''\nimport").encode(),
    ],
    ids=["bom", "crlf", "cr", "tabs", "form-feed", "no-end", "line-separators"],
)
def test_line_ends_tabs_and_marks(data):
    [finding], problems = audited(data)
    assert (finding.name, problems) == ("p-out-of-range", [])
    assert finding.line == (3 if b"if 1" in data or b"'''" in data else 2)
    assert finding.source.strip() == "nn.Dropout(7)"


@pytest.mark.parametrize(
    "text",
    [
        *("def f(:\n", "  x = 1\n", "'''never closed\n", "print 'dropout'\n", "<<<<<<< HEAD\n"),
        *("é = \uff09\n", "x = 1\0\n", "\tx\n        y\n", "\ufeff x"),
    ],
)
def test_what_does_not_parse(text):
    [(name, severity, line, _)], problems = told(HEAD + text)
    is_old = text.startswith("print")  # Python 2
    assert (name, severity, problems) == ("syntax-error", "advice" if is_old else "error", [])
    assert line == 3 or text.startswith(("x", "\t", "\ufeff"))  # which depends on the Python


DEEP = {
    "brackets": "(" * 5_000 + ")" * 5_000,
    "signs": "-" * 200_000 + "1",
    "sum": "+".join(["1"] * 100_000),
    "attributes": "a" + ".b" * 100_000,
    "subscripts": "a" + "[0]" * 50_000,
    "calls": "a" + "()" * 50_000,
    "lambdas": "lambda: " * 20_000 + "0",
    "not": "not " * 50_000 + "x",
    "if-else": "1 if x else " * 20_000 + "2",
    "indents": "".join(" " * i + "if x:\n" for i in range(300)) + " " * 300 + "x",
    "elif": "if x: pass\n" + "elif x: pass\n" * 20_000,
    "chain": "a" + " = a" * 50_000,
    "and": " and ".join(["a"] * 50_000),
    "strings": " ".join(["'a'"] * 50_000),
    "f-strings": "f'{" * 100 + "1" + "}'" * 100,
    "comprehension": "[" * 80 + "x" + " for x in y]" * 80,
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_nesting(name):
    """Whatever the parser of this Python makes of it, the run goes on."""
    found, problems = told(HEAD + DEEP[name])
    assert [f[0] for f in found] in ([], ["syntax-error"])
    assert problems == []


def test_nested_as_deep_as_the_parser_takes():
    """What can be parsed and not be walked by recursion."""
    for depth in (90, 300, 600, 900, 1_200):
        for text in ("-" * depth + "1", "a" + ".b" * depth, "+".join(["1"] * depth)):
            found, problems = told(HEAD + text)
            assert [f[0] for f in found] in ([], ["syntax-error"])
            assert problems == []


# --- Size ---------------------------------------------------------------------------------------


def test_a_file_of_10_mb_is_told_and_not_parsed():
    text = HEAD + "x = f(1, 2, 3)\n" * 700_000
    assert len(text) > 10_000_000
    tracemalloc.start()
    found, problems = audited(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    said = f"not audited: {len(text):,} characters, more than the limit of 2,000,000"
    assert (found, problems) == ([], [f"bad.py: {said}"])
    assert peak < 100_000_000


def test_a_file_of_10_mb_that_no_rule_could_mean_is_no_problem():
    assert audited("x = f(1, 2, 3)\n" * 700_000) == ([], [])


def test_a_notebook_of_10_mb_of_pictures_is_audited():
    picture = {"output_type": "display_data", "data": {"image/png": "A" * 10_000_000}}
    cell = {"cell_type": "code", "source": GOOD, "outputs": [picture]}
    [finding], problems = audited(json.dumps({"cells": [cell], "metadata": {}}), "n.ipynb")
    assert (finding.name, problems) == ("p-out-of-range", [])


def test_one_line_of_a_million_characters():
    text = HEAD + "x = '" + "a" * 1_000_000 + "'; nn.Dropout(7)\n"
    assert len(text) < MOST
    [finding], problems = audited(text)
    assert (finding.name, finding.line, problems) == ("p-out-of-range", 3, [])


# --- Notebooks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        ('{"cells": [\n"dropout",\n', 3, "invalid JSON"),
        ("dropout", 1, "invalid JSON"),
        ('["dropout"]', 1, "no list of cells"),
        ('{"dropout": 1}', 1, "no list of cells"),
        ('{"worksheets": [{"cells": ["dropout"]}]}', 1, "format before 4"),
        ("[" * 100_000 + '"dropout"', 1, "nested too deep"),
        (b'{"cells": ["dropout \xff"]}', 1, "not utf-8"),
        ('{"cells": NaN, "dropout": Infinity}', 1, "no list of cells"),
    ],
)
def test_broken_notebooks(data, line, message):
    [(name, severity, at, said)], problems = told(data, "n.ipynb")
    assert (name, severity, at, problems) == ("unreadable", "error", line, [])
    assert message in said


def test_a_broken_cell_is_advice_and_the_others_are_audited():
    cells = [{"cell_type": "code", "source": s} for s in (GOOD, "dropout = (", "nn.Dropout(8)")]
    found, problems = audited(json.dumps({"cells": cells}), "n.ipynb")
    assert problems == []
    assert [(f.name, f.severity, f.cell, f.line) for f in found] == [
        ("p-out-of-range", "error", 1, 2),
        ("syntax-error", "advice", 2, 1),
        ("p-out-of-range", "error", 3, 1),
    ]
    assert found[1].source == "dropout = ("


# --- Places -------------------------------------------------------------------------------------


def test_a_file_that_may_not_be_read(monkeypatch):
    Path("bad.py").write_text(HEAD)
    read = run_module.read_bytes

    def refuse(path, most):
        if path == "bad.py":
            raise PermissionError(13, "Permission denied")
        return read(path, most)

    monkeypatch.setattr(run_module, "read_bytes", refuse)  # by its mode root would not be refused
    report = audit_paths(["."])
    assert report.problems == ("bad.py: permission denied",)
    assert (report.files, len(report.findings)) == (1, 1)


def test_a_file_that_goes_away_while_it_is_its_turn(monkeypatch):
    Path("bad.py").write_text(HEAD)
    find = run_module.find_files

    def and_remove(*args, **options):
        found = find(*args, **options)
        Path("bad.py").unlink()
        return found

    monkeypatch.setattr(run_module, "find_files", and_remove)
    report = audit_paths(["."])
    assert report.problems == ("bad.py: no such file or folder",)
    assert (report.files, len(report.findings)) == (1, 1)


def test_a_folder_that_is_named_like_a_file():
    Path("bad.py").mkdir()
    Path("bad.py/a.py").write_text(GOOD)
    report = audit_paths(["."])
    assert [f.path for f in report.findings] == ["good.py", str(Path("bad.py/a.py"))]
    assert report.problems == ()


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text")
def test_a_name_that_is_no_text():
    name = os.fsdecode(b"\xff dropout.py")
    [finding], problems = audited(GOOD, name)
    assert (finding.name, problems) == ("p-out-of-range", [])


def test_empty_files():
    for data in (b"", b"\xef\xbb\xbf", b"\n\n", b"#dropout"):
        assert audited(data) == ([], [])
    for data in (b"", b" "):
        assert audited(data, "n.ipynb") == ([], [])


@pytest.mark.integration
def test_audit_text_itself_raises_nothing():
    for text in (*DEEP.values(), "\0", "\ud800", "dropout\ud800", "x = '\\N{no}'", "\x0c\x1a"):
        audit_text(text)
