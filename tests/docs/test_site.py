"""The site is built without a warning, its links lead somewhere, and a browser has no complaint."""

import fcntl
import html.parser
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docs._browser import CHROMIUM, Browser, served

# `make docs` runs these: no change of the library asks for a build of the site.
pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
PHONE, LAPTOP = 400, 1280  # pixels wide
SCROLLS = (
    "[...document.querySelectorAll('pre')].some(block => block.scrollWidth > block.clientWidth)"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site, one for all workers; or the one at SITE."""
    if "SITE" in os.environ:
        return Path(os.environ["SITE"]).resolve()
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "site"
    said = shared.with_suffix(".txt")
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            said.write_text(build(DOCS, shared))
    assert said.read_text() == ""
    return shared


def build(source, target):
    """As `make docs` does; the warnings, of which each is an error there."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    command += ["-d", str(target.with_suffix(".doctrees")), str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stderr or "failed" * bool(done.returncode)


class Page(html.parser.HTMLParser):
    """What a page can be linked at, and what it links and loads."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loads, self.pictures = {""}, [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in ("script", "img", "iframe", "source") and given.get("src"):
            self.loads.append(given["src"])
        if tag == "link" and given.get("rel") not in ("next", "prev", "canonical"):
            self.loads.append(given["href"])
        if tag == "img":
            self.pictures.append(given)


def read(file):
    return Page(file.read_text(encoding="utf-8"))


def pages(site):
    return {file: read(file) for file in site.rglob("*.html")}


def broken(every):
    """Links and loads within the site that lead nowhere; what is loaded from elsewhere."""
    faults = []
    for file, page in every.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc:
                if link in page.loads:
                    faults.append(f"{file.name} loads {link}")
                continue
            to = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not to.is_file():
                faults.append(f"{file.name}: no file {link}")
            elif to in every and unquote(parts.fragment) not in every[to].anchors:
                faults.append(f"{file.name}: no place {link}")
    return faults


def test_links_lead_somewhere_and_nothing_is_loaded_from_elsewhere(site):
    every = {file.resolve(): page for file, page in pages(site).items()}
    assert len(every) > 30
    assert sum(len(page.links) for page in every.values()) > 1000
    assert broken(every) == []


def test_what_checks_links_sees_a_broken_one(tmp_path):
    there = tmp_path.resolve() / "there.html"
    here = tmp_path.resolve() / "here.html"
    there.write_text('<h1 id="a">x</h1>')
    here.write_text(
        '<a href="there.html#a">x</a><a href="there.html#b">x</a><a href="gone.html">x</a>'
        '<a href="https://example.org">x</a><script src="https://example.org/x.js"></script>'
    )
    assert broken(pages(tmp_path)) == [
        "here.html: no place there.html#b",
        "here.html: no file gone.html",
        "here.html loads https://example.org/x.js",
    ]


def test_each_page_is_there_and_each_picture_has_words(site):
    for source in DOCS.rglob("*.md"):
        page = read(site / source.relative_to(DOCS).with_suffix(".html"))
        wordless = [img["src"] for img in page.pictures if not (img.get("alt") or "").strip()]
        assert wordless == [], source


def test_formulas_are_drawn_without_a_script(site):
    text = (site / "notebook.html").read_text(encoding="utf-8")
    assert text.count("<math") >= 20
    assert "$p$" not in text


def test_the_checks_are_in_pages_of_a_readable_size(site):
    sizes = {page.name: page.stat().st_size for page in (site / "checks").glob("*.html")}
    assert len(sizes) > 10
    assert {name: size for name, size in sizes.items() if size > 100_000} == {}


def test_the_api_has_every_public_name(site):
    import torchdropout as td

    for room in ("functional", "nn"):
        anchors = read(site / f"api/{room}.html").anchors
        module = getattr(td, room)
        names = [name for name in vars(module) if callable(getattr(module, name))]
        assert len(names) >= 15
        missing = [n for n in names if f"torchdropout.{room}.{n}" not in anchors]
        assert missing == []


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
def test_a_browser_finds_no_fault_on_any_page(site, tmp_path):
    browser = Browser(tmp_path / "profile")
    try:
        with served(site) as address:
            faults, wide, scrolling = {}, [], []
            for file in sorted(site.rglob("*.html")):
                name = str(file.relative_to(site))
                browser.resize(PHONE)
                faults[name] = browser.visit(f"{address}/{name}")
                if browser.ask("document.documentElement.scrollWidth") > PHONE:
                    wide.append(name)
                browser.resize(LAPTOP)
                if browser.ask(SCROLLS):
                    scrolling.append(name)
            assert {name: found for name, found in faults.items() if found} == {}
            assert wide == []
            assert scrolling == []

            assert browser.visit(f"{address}/search.html?q=drop_block2d") == []
            browser.wait_for("document.querySelectorAll('ul.search li').length > 0")

            assert browser.visit(f"{address}/family/index.html") == []
            drawn = "[...document.images].filter(i => i.naturalWidth > 0).length"
            assert browser.ask(drawn) >= 20
    finally:
        browser.close()


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
def test_what_visits_a_page_sees_its_faults(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    faulty = {
        "console": "<script>console.error('wrong')</script>",
        "exception": "<script>null.x</script>",
        "status 404": "<img src='gone.png'>",
        "asks another place": "<img src='http://127.0.0.1:9/x.png'>",
    }
    for name, text in faulty.items():
        (root / f"{name.split()[0]}.html").write_text(
            f"<!doctype html><link rel=icon href=data:,>{text}"
        )
    (root / "fine.html").write_text("<!doctype html><link rel=icon href=data:,>fine")
    line = f"<pre style='overflow: auto'>{'wide ' * 400}</pre>"
    (root / "line.html").write_text(f"<!doctype html><link rel=icon href=data:,>{line}")
    browser = Browser(tmp_path / "profile")
    try:
        with served(root) as address:
            for name in faulty:
                found = browser.visit(f"{address}/{name.split()[0]}.html")
                assert any(fault.startswith(name) for fault in found), (name, found)
            assert browser.visit(f"{address}/fine.html") == []
            assert not browser.ask(SCROLLS)
            assert browser.visit(f"{address}/line.html") == []
            assert browser.ask(SCROLLS)
    finally:
        browser.close()
