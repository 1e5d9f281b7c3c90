"""Getting started runs as it is written: its files, its commands, and what they print."""

import re
from pathlib import Path

import pytest

from _pages import commands, printed, timeless

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "getting-started.md").read_text(encoding="utf-8")
FRONT = (DOCS / "index.md").read_text(encoding="utf-8")
README = (DOCS.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("command", "text"), commands(PAGE), ids=lambda part: part[:40].strip())
def test_a_command_prints_what_is_shown(command, text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    files = re.findall(r"^```python\n(# (\w+\.py)\n.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(files) == 2
    for source, name in files:
        Path(name).write_text(source)
    assert printed(command, capsys) == (1, timeless(text))


def test_every_block_is_run():
    """Python by `test_pages.py`, commands above; the rest is one line that installs."""
    for page in (PAGE, FRONT):
        kinds = re.findall(r"^```(\S*)$", page, re.MULTILINE)[::2]
        assert set(kinds) - {"python", "", "console", "sh", "{toctree}"} == set()
        (shell,) = re.findall(r"^```sh\n(.*?)```$", page, re.DOTALL | re.MULTILINE)
        line = shell.partition("#")[0].strip()
        assert f"    {line}\n" in README  # whose test looks at it
    assert len(commands(PAGE)) == PAGE.count("```console") == 3


def test_the_front_page_says_who_needs_it_in_five_lines():
    before, _, rest = FRONT.partition("```sh")
    assert len(re.findall(r"^- ", before, re.MULTILINE)) == 5
    assert rest
    for page in ("getting-started.md", "notebook.md"):
        assert f"]({page})" in FRONT
