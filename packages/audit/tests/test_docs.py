"""The pages on the audit say what it does."""

import importlib.util
import re
from pathlib import Path

import pytest

from torchdropout import cli
from torchdropout_audit.registry import RULES
from torchdropout_audit.settings import TABLE

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "audit.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.M | re.S)
PYTHON, CONSOLE, TOML = (
    [text for kind, text in BLOCKS if kind == wanted] for wanted in ("python", "console", "toml")
)


def test_the_page_of_rules_is_what_its_script_makes():
    spec = importlib.util.spec_from_file_location("make_rules", DOCS / "make_rules.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    page = script.page()
    assert (DOCS / "rules.md").read_text(encoding="utf-8") == page
    headings = [line[4:] for line in page.splitlines() if line.startswith("### ")]
    assert sorted(headings) == sorted(f"{rule.code} {rule.name}" for rule in script.RULES.values())
    assert script.RULES.keys() > RULES.keys()


@pytest.mark.parametrize("said", CONSOLE, ids=lambda said: said.splitlines()[0])
def test_what_the_page_prints_is_printed(said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(PYTHON[0])
    command, printed = said.split("\n", 1)
    assert command.startswith("$ torchdropout audit ")
    assert cli.run([*command.split()[2:], "--no-cache"]) == 1
    seconds = re.compile(r"\(\d\.\d s\)")
    assert seconds.sub("", capsys.readouterr().out) == seconds.sub("", printed)


def test_the_settings_of_the_page_are_settings(tmp_path):
    path = tmp_path / "pyproject.toml"
    path.write_text(TOML[0])
    assert set(TABLE.read(path)) == set(TABLE.keys)


def test_every_rule_that_the_page_names_is_there():
    named = re.findall(r"ignore(?:-file)?\[(.*?)\]", PAGE) + re.findall(r"explain ([\w-]+)", PAGE)
    assert named
    codes = {rule.code for rule in RULES.values()}
    for name in re.split(r",\s*", ",".join(named)):
        assert name in RULES or name in codes
