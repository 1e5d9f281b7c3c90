"""A picture is what the library makes, each page shows its own, and a build draws all of them."""

import re
import subprocess
import xml.etree.ElementTree as ET

import pytest
import torch

from scripts import ROOT, loaded

DOCS = ROOT / "docs"


p, draw = loaded(DOCS / "pictures.py"), loaded(DOCS / "draw.py")
SVG = "{http://www.w3.org/2000/svg}"


def grids(text):
    """The values of the cells of each panel of an SVG."""
    found = []
    for group in ET.fromstring(text).iter(f"{SVG}g"):
        cells = {}
        for path in group.iter(f"{SVG}path"):
            if "data-value" not in path.attrib:
                continue
            places = re.findall(r"M(\d+) (\d+)h1v1h-1z", path.attrib["d"])
            assert "".join(f"M{c} {r}h1v1h-1z" for c, r in places) == path.attrib["d"]
            cells |= {(int(r), int(c)): float(path.attrib["data-value"]) for c, r in places}
        rows, columns = (1 + max(place[axis] for place in cells) for axis in (0, 1))
        assert len(cells) == rows * columns
        every = [[cells[r, c] for c in range(columns)] for r in range(rows)]
        found.append(torch.tensor(every, dtype=torch.float64))
    return found


def lines(text):
    """The points of each line of an SVG."""
    every = ET.fromstring(text).iter(f"{SVG}polyline")
    return [re.findall(r"[-\d.]+", line.attrib["points"]) for line in every]


@pytest.fixture(scope="module")
def drawn():
    """Each picture with its SVG."""
    made = {name: (alt, make()) for name, (alt, make) in p.PICTURES.items()}
    return {name: (picture, p.svg(picture, alt)) for name, (alt, picture) in made.items()}


@pytest.mark.parametrize("name", p.PICTURES)
def test_a_picture_holds_what_the_library_makes(name, drawn):
    picture, text = drawn[name]
    if isinstance(picture, p.Curves):
        assert len(lines(text)) == len(picture.lines)
        return
    read, made = grids(text), picture.levels()
    assert len(read) == len(made)
    for one, other in zip(read, made, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", p.PICTURES)
def test_a_page_shows_its_picture_under_its_title(name):
    title, _, third, *_ = (DOCS / f"family/{name}.md").read_text(encoding="utf-8").split("\n")
    assert title.startswith("# ")
    assert third == p.line(name)


def test_every_variant_has_a_picture():
    pages = {page.stem for page in (DOCS / "family").glob("*.md")}
    assert pages - {"index", "convert", "export", "peers"} == set(p.PICTURES)


@pytest.mark.slow  # draws them all; `make docs` runs it
def test_the_pages_show_all_that_a_build_draws_and_nothing_else(tmp_path):
    draw.site(tmp_path)
    drawn = {file.name for file in tmp_path.iterdir()}
    shown = {
        name
        for page in DOCS.rglob("*.md")
        for name in re.findall(r"\]\((?:\.\./)*plots/([\w.-]+)\)", page.read_text("utf-8"))
        if not name.startswith("notebook_")  # which the page of the notebook brings
    }
    assert shown == drawn
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    draw.put(tmp_path / "forward.svg", (tmp_path / "forward.svg").read_bytes())
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_only_the_pictures_of_the_readme_are_committed():
    git = ["git", "-C", str(DOCS.parent), "ls-files", "docs/plots"]
    found = subprocess.run(git, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        pytest.skip("not a checkout")
    assert found.stdout.split() == [f"docs/plots/{name}" for name in sorted(draw.README)]


def test_a_picture_reads_back_as_what_was_drawn():
    values = torch.tensor([[0.0, 2.0, 1.0], [2.0, -0.5, 0.0]])
    text = p.svg(p.Grids([p.Panel(values, "a < b")]), "x & y")
    (read,) = grids(text)
    assert torch.equal(read, values.double())
    other = p.svg(p.Grids([p.Panel(values.flip(0), "a < b")]), "x & y")
    assert not torch.equal(grids(other)[0], read)


def test_no_word_of_a_picture_is_cut_off(drawn):
    for name, (_, drawing) in drawn.items():
        root = ET.fromstring(drawing)
        width, height = float(root.attrib["width"]), float(root.attrib["height"])
        for text in root.iter(f"{SVG}text"):
            x, y = float(text.attrib["x"]), float(text.attrib["y"])
            long = 6.0 * len(text.text)
            if "transform" in text.attrib:
                assert long / 2 <= y <= height - long / 2, (name, text.text)
            elif text.attrib.get("text-anchor") is None:
                assert x + long <= width, (name, text.text)
            assert y <= height
