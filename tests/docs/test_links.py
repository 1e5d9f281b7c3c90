"""Links between the files lead somewhere where the sources are read, on a code host."""

import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
# Written when the site is built, which fails where one that a page shows is missing.
BUILT = (ROOT / "docs" / "plots", ROOT / "docs" / "notebook.md")
LINK = re.compile(r"\]\(([^()\s]+)\)")


def unfenced(text):
    """The text without blocks of code."""
    return re.sub(r"^(`{3,})[^`\n]*\n.*?^\1`*$", "", text, flags=re.DOTALL | re.MULTILINE)


def prose(text):
    """The text without code."""
    return re.sub(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", "code", unfenced(text))


@functools.cache
def anchors(file):
    """The places of a Markdown file, as code hosts and MyST name them."""
    found = set()
    for title in re.findall(r"^#{1,6} (.+)$", unfenced(file.read_text("utf-8")), re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).replace("`", "").lower()
        slug = name = re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")
        number = 0
        while name in found:
            number += 1
            name = f"{slug}-{number}"
        found.add(name)
    return found


def broken(file):
    """The links of a file that lead nowhere."""
    faults = []
    for link in LINK.findall(prose(file.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, place = link.partition("#")
        to = (file.parent / path).resolve() if path else file
        built = file.is_relative_to(ROOT / "docs") and (to in BUILT or to.parent in BUILT)
        known = built or (to.exists() and to.is_relative_to(ROOT))
        if not known or (place and (to.suffix != ".md" or place not in anchors(to))):
            faults.append(link)
    return faults


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_its_links_lead_somewhere(file):
    assert broken(file) == []


def test_what_reads_links_sees_a_broken_one(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "there.md").write_text("# One, two: `three`\n\n# One\n\n# One\n\n```\n# No\n```\n")
    here = tmp_path / "here.md"
    here.write_text(
        "[a](there.md) [b](there.md#one-two-three) [c](there.md#one-1) `[d](gone.md)` [e](https://x)"
        "\n```\n[f](gone.md)\n```\n[g](gone.md) [h](there.md#no) [i](../out.md)"
    )
    assert broken(here) == ["gone.md", "there.md#no", "../out.md"]


def test_no_page_links_a_folder_of_the_docs():
    """A code host lists it, and the site has no page for it."""
    for file in FILES[3:]:
        for link in LINK.findall(prose(file.read_text("utf-8"))):
            path = link.partition("#")[0]
            assert ":" in link or not path or not (file.parent / path).is_dir(), (file, link)
