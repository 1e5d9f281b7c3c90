"""The pages of checks are what their script makes, and have every check once."""

import re

import pytest

from scripts import ROOT, loaded
from torchdropout.verify import RULES

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def written():
    return loaded(DOCS / "make_checks.py").pages()


def test_the_pages_are_what_the_script_makes(written):
    stored = {file.name: file.read_text("utf-8") for file in (DOCS / "checks").iterdir()}
    assert stored == written


def test_every_check_is_on_the_page_of_its_group_once(written):
    groups = {name: text for name, text in written.items() if name != "index.md"}
    found = {
        (name, title)
        for name, text in groups.items()
        for title in re.findall(r"^## (.*)$", text, re.MULTILINE)
    }
    assert found == {(f"{rule.group}.md", f"{rule.code} {rule.name}") for rule in RULES.values()}


def test_the_index_links_every_check(written):
    for rule in RULES.values():
        link = f"]({rule.group}.md#{rule.code.lower()}-{rule.name})"
        assert written["index.md"].count(link) == 1
