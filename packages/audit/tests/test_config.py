"""Settings of the audit in a pyproject.toml."""

import os
from pathlib import Path

import pytest

from _texts import BAD
from torchdropout.verify.settings import TABLE as VERIFY_TABLE
from torchdropout_audit.__main__ import main
from torchdropout_audit.errors import ArgumentTypeError, ArgumentValueError
from torchdropout_audit.settings import TABLE


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text):
        path = tmp_path / "pyproject.toml"
        path.write_text(text)
        return path

    return write


WHOLE = """
[tool.torchdropout]
level = "quick"

[tool.torchdropout.audit]
paths = ["src", "tools/one.py"]
select = ["TD1", "TD12"]
ignore = ["p-one"]
exclude = ["old/**"]
extend-exclude = ["!old/kept.py"]
strict = true
jobs = 2
format = "sarif"

[tool.torchdropout.audit.per-file-ignores]
"tests/**" = ["TD104", "p-zero"]
"""


def test_everything_that_can_be_set(project):
    assert TABLE.read(project(WHOLE)) == {
        "paths": ("src", "tools/one.py"),
        "select": ("TD1", "TD12"),
        "ignore": ("p-one",),
        "exclude": ("old/**",),
        "extend-exclude": ("!old/kept.py",),
        "strict": True,
        "jobs": 2,
        "format": "sarif",
        "per-file-ignores": {"tests/**": {"training-literal", "p-zero"}},
    }
    assert set(TABLE.keys) == set(TABLE.read(project(WHOLE)))
    least = project("[tool.torchdropout.audit]\njobs = 1\nstrict = false\n")
    assert TABLE.read(least) == {"jobs": 1, "strict": False}


def test_the_verifier_passes_it_over(project):
    assert VERIFY_TABLE.read(project(WHOLE)) == {"level": "quick"}
    assert VERIFY_TABLE.read(project("[tool.torchdropout.audit]")) == {}


def test_paths_are_from_the_file(project, tmp_path, monkeypatch):
    path = project(WHOLE)
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")
    assert TABLE.read(path)["paths"] == tuple(
        os.path.join("..", *parts)  # noqa: PTH118
        for parts in (["src"], ["tools", "one.py"])
    )


def test_the_nearest_file_with_the_table_counts(project, tmp_path):
    path = project(WHOLE)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "pyproject.toml").write_text('[tool.torchdropout]\nlevel = "quick"\n')
    assert TABLE.find(deep) == path
    (deep / "pyproject.toml").write_text("[tool.torchdropout.audit]\n")
    assert TABLE.find(deep) == deep / "pyproject.toml"


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        ("selekt = []", ArgumentValueError, ["'selekt'", "close to it: select"]),
        ("qqq = 1", ArgumentValueError, ["the keys are paths, select"]),
        ("select = 'TD1'", ArgumentTypeError, ["`select`", "a list of", "'TD1' (str)"]),
        ("select = ['p-oen']", ArgumentValueError, ["select", "'p-oen'", "p-one"]),
        ("exclude = [1]", ArgumentTypeError, ["`exclude`", ".gitignore", "[1] (list)"]),
        ("exclude = ['!']", ArgumentValueError, ["exclude", "!"]),
        ("strict = 1", ArgumentTypeError, ["`strict`", "true or false", "1 (int)"]),
        ("jobs = 0", ArgumentValueError, ["jobs", "at least 1, got 0"]),
        ("format = 'html'", ArgumentValueError, ["`format`", "'html'", "sarif"]),
        ("per-file-ignores = ['a']", ArgumentTypeError, ["`per-file-ignores`", "a table"]),
        ("per-file-ignores = {'a' = 'b'}", ArgumentTypeError, ["`per-file-ignores`"]),
        ("per-file-ignores = {'!' = ['p-one']}", ArgumentValueError, ["pattern", "'!'"]),
        ("per-file-ignores = {'a' = ['no']}", ArgumentValueError, ["per-file-ignores", "'no'"]),
    ],
)
def test_what_is_wrong_is_told_with_the_file(project, line, error, words):
    path = project(f"[tool.torchdropout.audit]\n{line}\n")
    with pytest.raises(error) as caught:
        TABLE.read(path)
    for word in (str(path), *words):
        assert word in str(caught.value)


def test_no_file_outside_is_fixed(tmp_path, monkeypatch, capsys):
    other = tmp_path / "other.py"
    other.write_text(BAD)
    monkeypatch.setenv("TORCHDROPOUT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    Path("pyproject.toml").write_text('[tool.torchdropout.audit]\npaths = ["../other.py"]\n')
    for arguments in (["--fix"], []):
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert (out, "paths: expected a path in" in err) == ("", True)
        assert other.read_text() == BAD
    assert main(["--no-config", "--fix", "../other.py"]) == 0  # named by the user
    assert other.read_text() != BAD


@pytest.mark.parametrize("text", ["[tool.torchdropout]\naudit = 1\n", "[tool]\ntorchdropout = 1\n"])
def test_a_value_in_the_place_of_a_table(project, text):
    with pytest.raises(ArgumentTypeError, match="to be a table, got 1"):
        TABLE.read(project(text))


def test_no_table(project):
    with pytest.raises(ArgumentValueError, match=r"a table \[tool.torchdropout.audit\]"):
        TABLE.read(project("[tool.torchdropout]\n"))


@pytest.mark.parametrize(
    "name",
    [
        "Tool.torchdropout.audit", "TOOL.torchdropout", "tools.torchdropout.audit",
        "torchdropout.audit_model", "'tool.torchdropout.audit'", "tool.'torchdropout.audit_model'",
        "tool.torchdropout.Audit", "tool.torchdroput.audit", "tool.Torchdropout.audit",
        "tool.torch-dropout", "tool.torchdropout_audit", "Tool.torchdroput",
    ],
)  # fmt: skip
def test_a_misspelt_table_is_told_and_not_ignored(project, name):
    path = project(f"[{name}]\nstrict = true\n")
    for table in (TABLE, VERIFY_TABLE):
        with pytest.raises(ValueError, match=r"to have a table \[tool.torchdropout\] or"):
            table.find(path.parent)


@pytest.mark.parametrize(
    "text",
    [
        "[project]\nname = 'torchdropout'\n[project.scripts]\ntorchdropout = 'a:b'\n",
        "[dependency-groups]\ntorchdropout = ['torchdropout']\n",
        "[project.optional-dependencies]\ntorchdropout = ['torchdropout']\n",
        "[tool.torch]\n[tool.dropout]\n[tool.poetry.dependencies]\ntorchdropout = '*'\n",
        "[tool.uv.sources]\ntorchdropout = {path = 'x'}\n[tool.pixi.feature.torchdropout]\n",
        "[build-system]\nrequires = []\n[tools]\na = 1\n[Tool.black]\nline-length = 3\n",
    ],
)
def test_tables_of_others_are_theirs(project, text):
    path = project(text)
    assert [table.find(path.parent) for table in (TABLE, VERIFY_TABLE)] == [None, None]
