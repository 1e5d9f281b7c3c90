"""`--add-ignores`: comments that silence what is found, and nothing else of a file changes."""

import ast
import io
import json
import re
import sys
import textwrap
from pathlib import Path

import pytest

from _fixtures import FIXTURES, cases
from _reports import finding
from _texts import ADDED, BAD, HEAD, IGNORED
from torchdropout_audit import comments
from torchdropout_audit.__main__ import main
from torchdropout_audit.comments import NOT_IGNORED, add_ignores, suppress
from torchdropout_audit.registry import FINDERS
from torchdropout_audit.source import audit_text

NAME = "functional-always-on"


def audit(text):
    return suppress(audit_text(text), text)


def added(body):
    """What is added to a body of `forward`: the new body."""
    text = HEAD + textwrap.indent(textwrap.dedent(body), " " * 8)
    new, count = add_ignores(text, audit(text))
    assert [f for f in audit(new) if f.name not in NOT_IGNORED] == []
    assert (new != text) == bool(count)
    assert add_ignores(new, audit(new)) == (new, 0)
    assert ast.dump(ast.parse(new)) == ast.dump(ast.parse(text))
    return textwrap.dedent(new.removeprefix(HEAD))


# bodies, with « » round what is added, and `NEW` for a comment
PLACES = [
    "return F.dropout(x, 0.1)NEW\n",
    "return F.dropout(x, 0.1)NEW",
    # The comments that a line has.
    "return F.dropout(x, 0.1)  # allNEW\n",
    "return F.dropout(x, 0.1)  # a\\NEW\n",
    "return F.dropout(x, 0.1)  # noqa: E501 # type: ignoreNEW\n",
    f"return F.dropout(x, 0.1)  # torchdropout: ignore[p-one«, {NAME}»] as said\n",
    f"return F.dropout(x, 0.1)  # torchdropout: ignore[«{NAME}»]  # more\n",
    "return F.dropout(x, 0.1)  # torchdropout: ignore[p-oneNEW\n",
    "return F.dropout(x, 0.1)  # torchdropout: ignore-file[p-one]NEW\n",
    # Statements with several lines.
    "return F.dropout(NEW\n    x,\n    0.1,\n)\n",
    "return x + \\\n    F.dropout(x, 0.1) \\\n    + 1NEW\n",
    'y = F.dropout(x, 0.1), """\n# no\n"""NEW\n',
    'y = (F.dropout(x, 0.1), """\na"""\n, 2)NEW\n',
    'y = f"""{F.dropout(x, 0.1)}\n{x}\n""", 1NEW\n',
    "return [\n    F.dropout(x, 0.1),NEW\n    x,\n    F.dropout(x, 0.2),  # tooNEW\n]\n",
    f"for i in x: F.dropout(x, 0.1)«{ADDED[:-1]}, result-unused]»\n",
    # Several findings on a line.
    "return F.dropout(x, 0.1) + F.dropout(x, 0.1)NEW\n",
    f"return F.dropout(nn.Dropout(1.5)(x), 0.1)«{ADDED[:-1]}, module-built-in-forward, "
    "p-out-of-range, double-dropout]»\n",
]


@pytest.mark.parametrize("marked", PLACES)
def test_where_the_comment_goes(marked):
    marked = marked.replace("NEW", f"«{ADDED}»")
    assert added(re.sub("«.*?»", "", marked)) == re.sub("[«»]", "", marked)


def test_blanks_at_the_end_make_way_for_the_comment():
    for end in ("  \t", "  # a "):
        new = f"return F.dropout(x, 0.1){end.rstrip()}{ADDED}\n"
        assert added(f"return F.dropout(x, 0.1){end}\n") == new


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("body", ["return F.dropout(x, 0.1)\n", "return \\\n F.dropout(x, 0.1)\n"])
def test_line_ends_stay(end, body):
    text = (HEAD + textwrap.indent(body, " " * 8)).replace("\n", end)
    new, count = add_ignores(text, audit(text))
    assert count == 1
    assert new == text.removesuffix(end) + ADDED + end
    assert audit(new) == []


@pytest.mark.parametrize("name", sorted(NOT_IGNORED))
def test_what_no_comment_should_silence_is_left(name):
    found = finding(line=1, end_line=1, name=name)
    assert add_ignores("x = 1\n", [found]) == ("x = 1\n", 0)


def test_what_the_tokenizer_cannot_read_is_left():
    text = "x = (\n"
    assert add_ignores(text, [finding(line=1, end_line=1)]) == (text, 0)


def test_strings_that_newer_parsers_split_into_tokens(monkeypatch):
    tokens_of, opening, closing = comments._tokens, 101, 102

    def tokens(text):
        for token in tokens_of(text):
            if token.string.startswith("f"):
                middle = (token.start[0] + 1, 0)
                yield token._replace(type=opening)
                yield token._replace(type=opening, start=middle)
                yield token._replace(type=closing, start=middle, end=middle)
                yield token._replace(type=closing, start=token.end)
            else:
                yield token

    monkeypatch.setattr(comments, "_tokens", tokens)
    monkeypatch.setattr(comments, "_OPENING", {opening})
    monkeypatch.setattr(comments, "_CLOSING", {closing})
    text = 'y = f"""\n{f(1)}\n""", 1\n'
    found = [finding(line=1, end_line=1, name=NAME)]
    assert add_ignores(text, found) == (text.replace(", 1", f", 1{ADDED}"), 1)


@pytest.mark.parametrize("rule", FINDERS)
def test_all_that_the_fixtures_break_is_silenced(rule):
    counted = 0
    for case in cases(FIXTURES / f"{rule.replace('-', '_')}.py"):
        text = case.files[0].text
        found = [f for f in audit(text) if f.name not in NOT_IGNORED]
        new, count = add_ignores(text, found)
        assert count == len(found)
        assert {f.name for f in audit(new)} <= NOT_IGNORED
        if found:
            assert ast.dump(ast.parse(new)) == ast.dump(ast.parse(text))
        counted += count
    assert counted


# The command


pytestmark = pytest.mark.usefixtures("folder")


def run(*arguments):
    return main(["--add-ignores", *arguments])


def test_files_are_changed_and_a_second_run_has_nothing_to_do(capsys):
    Path("a.py").write_text(BAD)
    Path("b.py").write_text("x = 1\n")
    assert main([]) == 1  # and the findings are in the cache
    capsys.readouterr()
    assert run() == 0
    assert capsys.readouterr().out.startswith("1 ignored; no errors in 2 files (")
    assert Path("a.py").read_text() == IGNORED
    assert run("--format=json") == 0
    assert json.loads(capsys.readouterr().out)["ignored"] == 0
    assert Path("a.py").read_text() == IGNORED


def test_only_rules_that_were_applied_are_ignored():
    Path("a.py").write_text(BAD)
    assert run("--ignore", NAME) == 0
    assert Path("a.py").read_text() == BAD


def test_the_encoding_stays():
    data = b"# coding: latin-1\r\n# \xe9\r\n" + BAD.replace("\n", "\r\n").encode()
    Path("a.py").write_bytes(data)
    assert run() == 0
    assert Path("a.py").read_bytes() == data[:-2] + ADDED.encode() + b"\r\n"


def test_a_diff_writes_nothing(capsys):
    Path("a.py").write_text(BAD)
    assert run("--diff") == 1
    out, err = capsys.readouterr()
    assert f"+        return F.dropout(x, 0.1){ADDED}\n" in out
    assert err == "torchdropout-audit: 1 file would change\n"
    assert Path("a.py").read_text() == BAD


def test_stdin_goes_to_stdout(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BAD.encode())))
    assert run("-") == 0
    out, err = capsys.readouterr()
    assert out == IGNORED
    assert err.startswith("1 ignored; no errors in 1 file (")


def test_a_file_that_does_not_parse_stays():
    Path("a.py").write_text(BAD + "x = (\n")
    assert run() == 2
    assert Path("a.py").read_text() == BAD + "x = (\n"


@pytest.mark.parametrize("other", ["--fix", "--unsafe-fixes"])
def test_not_together_with_fixes(other, capsys):
    Path("a.py").write_text(BAD)
    assert run(other) == 2
    assert "Expected --add-ignores or fixes, not both" in capsys.readouterr().err
    assert Path("a.py").read_text() == BAD


def cell(*lines):
    return {"cell_type": "code", "source": list(lines), "outputs": [], "metadata": {}}


def test_notebooks_get_the_comments_in_their_cells(capsys):
    cells = [
        cell("%matplotlib inline\n", "from torch import nn"),
        {"cell_type": "markdown", "source": ["nn.Dropout(1.5)"], "metadata": {}},
        cell("!ls\n", "drop = nn.Dropout(1.5)\n", "drop?"),
        cell("drop = nn.Dropout(\n", "    1.5)"),
    ]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    Path("a.ipynb").write_text(json.dumps(notebook, indent=1))
    assert run() == 0
    assert capsys.readouterr().out.startswith("2 ignored; no errors in 1 file (")
    new = json.loads(Path("a.ipynb").read_text())
    mark = "  # torchdropout: ignore[p-out-of-range]"
    cells[2]["source"][1] = f"drop = nn.Dropout(1.5){mark}\n"
    cells[3]["source"][1] = f"    1.5){mark}"
    assert new == notebook
    before = Path("a.ipynb").read_bytes()
    assert run() == 0
    assert Path("a.ipynb").read_bytes() == before
