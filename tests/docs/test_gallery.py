"""The family's index has every page and every public name, each where its page is."""

import re
from collections import Counter
from pathlib import Path

import torchdropout as td

DOCS = Path(__file__).parents[2] / "docs"
INDEX = (DOCS / "family/index.md").read_text(encoding="utf-8")
LINKED = re.compile(r"\|.*\]\(\w+\.md\)")
ROWS = [line.split("|")[1:-1] for line in INDEX.splitlines() if LINKED.match(line)]


def named(cell):
    return re.findall(r"`(\w+)`", cell)


def page(row):
    return re.search(r"\]\((\w+)\.md\)", row[1])[1]


def public(module):
    return {name for name, value in vars(module).items() if callable(value) and name[0] != "_"}


def test_the_index_has_every_page_once():
    pages = {file.stem for file in (DOCS / "family").glob("*.md")} - {"index", "peers"}
    assert "](peers.md)" in INDEX
    assert sorted(map(page, ROWS)) == sorted(pages)


def test_the_index_has_every_public_name_once():
    variants = [row for row in ROWS if len(row) == 4]
    for cell, home in ((2, td.nn), (3, td.functional)):
        names = Counter(name for row in variants for name in named(row[cell]))
        assert dict(names) == dict.fromkeys(public(home), 1), "docs/family/index.md"


def test_a_page_speaks_of_the_names_it_stands_for():
    silent = []
    for row in ROWS:
        text = (DOCS / f"family/{page(row)}.md").read_text(encoding="utf-8")
        words = set(re.findall(r"\w+", text))
        names = [name for cell in row[2:4] for name in named(cell)]
        silent += [(page(row), name) for name in names if name not in words]
    assert silent == []


def test_a_variant_page_says_where_it_came_from_and_where_others_disagree():
    for row in ROWS:
        if len(row) == 4:
            text = (DOCS / f"family/{page(row)}.md").read_text(encoding="utf-8")
            assert "**Where it came from.**" in text, page(row)
            assert "**Where others disagree.**" in text, page(row)


def test_each_claim_of_which_has_its_source():
    text = (DOCS / "which.md").read_text(encoding="utf-8")
    body, sources = text.split("## Sources")
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", sources, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert {int(number) for number in re.findall(r"\[(\d+)\]", body)} == set(numbers)
    rows = re.findall(r"^\| (?!where|---)(.*) \|$", body, re.MULTILINE)
    assert len(rows) > 15
    for row in rows:
        assert re.search(r"\[\d+\]|folklore", row), row
    for source in re.findall(r"^\d+\. (.*)$", sources, re.MULTILINE):
        assert re.search(r"\b(19|20)\d\d\b", source), source
