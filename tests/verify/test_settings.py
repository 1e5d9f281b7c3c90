"""What a pyproject.toml may say."""

import os

import pytest

from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.verify.settings import TABLE
from torchdropout_audit.settings import TABLE as AUDIT

WHOLE = """
[project]
name = "mine"

[tool.torchdropout]
targets = ["mine.layers:Drop", "src/mine/more.py:Drop"]
level = "quick"
seed = 3
select = ["rate", "TD51"]
ignore = ["layout-mask"]
strict = true
timeout = 30
jobs = 2
baseline = "known.json"
format = "junit"
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a `pyproject.toml`, and the current one; returns a function that writes it."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "pyproject.toml"

    def write(text):
        path.write_text(text)
        return path

    return write


def test_everything_that_can_be_set(project):
    assert TABLE.read(project(WHOLE)) == {
        "targets": ("mine.layers:Drop", "src/mine/more.py:Drop"), "level": "quick", "seed": 3,
        "select": ("rate", "TD51"), "ignore": ("layout-mask",), "strict": True, "timeout": 30.0,
        "jobs": 2, "baseline": "known.json", "format": "junit",
    }  # fmt: skip


def test_paths_are_from_the_file_and_names_are_not_paths(project, tmp_path, monkeypatch):
    path = project(WHOLE.replace('Drop"]', 'Drop", "more.py:Drop", "src/more:Drop", "/no/a.py:D"]'))
    path.write_text(path.read_text().replace("/no/", f"{tmp_path}/"))
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")
    settings = TABLE.read(path)
    assert settings["targets"] == (
        "mine.layers:Drop",
        *("../src/mine/more.py:Drop", "../more.py:Drop", "../src/more:Drop"),
        f"{tmp_path}/a.py:D",
    )
    assert settings["baseline"] == "../known.json"


def test_the_least_that_a_number_may_be_is_allowed(project):
    path = project("[tool.torchdropout]\ntimeout = 0\njobs = 1\nseed = -1")
    settings = TABLE.read(path)
    assert settings == {"timeout": 0.0, "jobs": 1, "seed": -1}
    assert type(settings["timeout"]) is float


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        (TABLE, "targets", "['mine.layers:Drop', '{}/a.py:Drop']"),
        (TABLE, "targets", "['{}:Drop']"),
        (TABLE, "baseline", "'{}'"),
        (AUDIT, "paths", "['src', '{}']"),
    ],
)
@pytest.mark.parametrize("at", [".", "src", ".."])
def test_no_path_leads_out_of_the_folder_of_the_file(tmp_path, monkeypatch, table, key, value, at):
    folder = tmp_path / "project"
    for name in ("project/src", "project2", "other"):
        (tmp_path / name).mkdir(parents=True)
    for link in ("link", "src/up"):
        (folder / link).symlink_to(tmp_path / "other")
    monkeypatch.chdir(folder / at)
    path = folder / "pyproject.toml"
    for place in ("../", "../project2", "src/../../other", "/other", "./link", "src/up"):
        path.write_text(f"[tool.{table.name}]\n{key} = {value.format(place)}\n")
        with pytest.raises(ValueError, match="expected a path in") as caught:
            table.read(path)
        words = str(caught.value)
        assert words.startswith(f"{path}, {key}: expected a path in {folder}, got '{place}")


def test_a_link_may_lead_to_another_place_in_the_folder(project, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "link").symlink_to("src")
    path = project("[tool.torchdropout.audit]\npaths = ['link', 'src/../src', '.']\n")
    assert AUDIT.read(path)["paths"] == ("link", "src/../src", ".")


@pytest.mark.parametrize("table", [TABLE, AUDIT], ids=lambda table: table.name)
def test_not_more_processes_than_a_machine_can_use(project, monkeypatch, table):
    path = project(f"[tool.{table.name}]\njobs = 1_000_000\n")
    for processors, jobs in ((64, 64), (2, 8), (None, 8)):
        monkeypatch.setattr(os, "cpu_count", lambda processors=processors: processors)
        assert table.read(path) == {"jobs": jobs}


def test_the_nearest_file_with_the_table_counts(tmp_path):
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    assert TABLE.find(deep) is None
    (tmp_path / "pyproject.toml").write_text("[tool.torchdropout]\nseed = 1")
    assert TABLE.find(deep) == tmp_path / "pyproject.toml"
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.torchdropout]\nseed = 2")
    (tmp_path / "a" / "b" / "pyproject.toml").write_text("[project]\nname = 'b'")
    assert TABLE.find(deep) == tmp_path / "a" / "pyproject.toml"
    assert TABLE.find(tmp_path) == tmp_path / "pyproject.toml"


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        ("levle = 'quick'", ArgumentValueError, "'levle'; close to it: level"),
        ("zzz = 1", ArgumentValueError, "'zzz'; the keys are targets, level, .*format"),
        ("level = 'quik'", ArgumentValueError, r"`level`.*level='quik' \(str\).*: quick"),
        ("level = 1", ArgumentTypeError, r"`level`.*one of quick.*level=1 \(int\)"),
        ("format = 'htm'", ArgumentValueError, "`format`.*'htm'.*html"),
        ("seed = 0.5", ArgumentTypeError, r"`seed`.*an integer.*seed=0.5 \(float\)"),
        ("strict = 1", ArgumentTypeError, r"`strict`.*true or false.*1 \(int\)"),
        ("timeout = '5'", ArgumentTypeError, r"`timeout`.*seconds.*'5' \(str\)"),
        ("timeout = -1", ArgumentValueError, "timeout: expected at least 0, got -1"),
        ("jobs = 0", ArgumentValueError, "jobs: expected at least 1, got 0"),
        ("select = 'rate'", ArgumentTypeError, r"`select`.*a list.*'rate' \(str\)"),
        ("select = ['rate', 1]", ArgumentTypeError, "`select`.*a list"),
        ("select = ['rat']", ArgumentValueError, "'rat'.*rate"),
        ("ignore = ['gradeint']", ArgumentValueError, "'gradeint'.*gradient"),
        ("baseline = ['a']", ArgumentTypeError, r"`baseline`.*path.*\(list\)"),
        ("targets = 'a:b'", ArgumentTypeError, r"`targets`.*list of TARGETs.*'a:b' \(str\)"),
    ],
)
def test_what_is_wrong_is_told_with_the_file(project, line, error, words):
    path = project(f"[tool.torchdropout]\n{line}")
    with pytest.raises(error, match=words) as caught:
        TABLE.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.torchdropout", "to be TOML, got: "),
        ("[tool.other]", r"to have a table \[tool.torchdropout\], got none"),
        ("tool = 1", "got none"),
        ("tool.torchdropout = 1", r"to be a table, got 1 \(int\)"),
        # More than Python reads.
        ("[tool.torchdropout]\nseed = " + "[" * 100_000, "brackets nested too deep"),
        ("[tool.torchdropout]\nseed = " + "1" * 5_000, "to be TOML, got"),
        ("[tool.torchdropout]\n" + "a." * 50_000 + "b = 1", "got: more than 1,000 dots in a line"),
        ("[tool.torchdropout]\n" + "# no\n" * 200_000, "more than the limit of 1,000,000"),
    ],
    ids=["TOML", "other", "number", "no table", "brackets", "digits", "dots", "long"],
)
def test_a_file_without_settings_is_told(project, text, words):
    path = project(text)
    with pytest.raises((ArgumentValueError, ArgumentTypeError), match=words) as caught:
        TABLE.read(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("table", [TABLE, AUDIT], ids=lambda table: table.name)
def test_a_misspelt_table_is_not_ignored_and_that_of_another_tool_is(project, table):
    for name in ("torchdropout.audti", "torchdropuot", "torchdropout-audit", "torch_dropout"):
        path = project(f"[tool.{name}]\nstrict = true\n")
        words = rf"\[tool.torchdropout\] or \[tool.torchdropout.audit\], got \[tool.{name}\]"
        with pytest.raises(ValueError, match=words) as caught:
            table.find(path.parent)
        assert str(path) in str(caught.value)
    for name in ("ruff", "torch", "dropout", "torchvision", "pytest.ini_options"):
        assert table.find(project(f"[tool.{name}]\nstrict = true\n").parent) is None


def test_a_table_within_a_table_of_the_audit_is_known(project):
    text = '[tool.torchdropout.audit.per-file-ignores]\n"tests/" = ["p-one"]\n'
    path = project(text)
    assert TABLE.find(path.parent) == AUDIT.find(path.parent) == path
    assert TABLE.read(path) == {}


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ArgumentValueError, match=r"no\.toml, got No such file"):
        TABLE.read(tmp_path / "no.toml")
    path = tmp_path / "pyproject.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ArgumentValueError, match="UTF-8"):
        TABLE.find(tmp_path)
