import functools
import html.parser
import json
import re
import shutil
import subprocess

import pytest

from torchdropout.verify.report import render_html, render_html_fragment
from torchdropout.verify.results import Report
from verify import _reports as r

REPORT = Report(
    (
        r.target(*r.EVERY, *r.PICTURED, file="src/drops.py", line=41),
        r.target(r.OK, name="b:B", interrupted=True),
        r.target(r.ERROR, name="c:C", known=frozenset({"TD552"})),
    )
)


@functools.cache
def rendered():
    return render_html(REPORT)


class Page(html.parser.HTMLParser):
    """The elements of a page in order; fails where they do not nest."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data.strip())

    def named(self, tag, cls=""):
        every = [attributes for name, attributes in self.elements if name == tag]
        return [a for a in every if not cls or cls in a.get("class", "").split()]


def words(report):
    return " ".join(Page(render_html(report)).texts)


def test_a_page_loads_nothing_and_runs_nothing():
    text = rendered()
    page = Page(text)
    assert {tag for tag, _ in page.elements} <= {
        "html", "head", "meta", "title", "style", "body", "div", "main", "section", "header", "h1",
        "h2", "h3", "h4", "p", "ul", "li", "a", "span", "b", "code", "pre", "dl", "dt", "dd",
        "details", "summary", "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption",
        "svg", "g", "defs", "path", "use", "text", "rect", "clippath",
    }  # fmt: skip
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "src"]
        assert attributes.get("href", "#").startswith("#")
    assert not re.search(r"https?:|url\((?!#)|@import", text)
    (policy,) = [a["content"] for a in page.named("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")


@pytest.mark.parametrize("text", r.HOSTILE.values(), ids=r.HOSTILE)
@pytest.mark.parametrize("render", [render_html, render_html_fragment])
def test_hostile_text_changes_no_element(render, text):
    def skeleton(page):
        return [(tag, list(attributes)) for tag, attributes in page.elements]

    shown = render(r.saying(text))
    assert shown.isascii()
    assert not [c for c in shown if not c.isprintable() and c != "\n"]
    assert skeleton(Page(shown)) == skeleton(Page(render(r.saying("harmless"))))


def test_text_of_a_target_is_shown_as_it_is():
    markup = "<b>&amp;</b> \N{GAME DIE}"
    page = Page(render_html(r.saying(markup)))
    assert page.texts.count(markup) >= 6


def test_ids_are_unique_and_every_reference_is_met():
    other = Report((r.target(*r.PICTURED, name="other"),))
    text = rendered() + render_html_fragment(other)
    images = Page(text).named("svg")
    assert len(images) == 2 * len(r.PICTURED)
    assert all(image["role"] == "img" and image["aria-label"] for image in images)
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids)) > 5
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text)) <= set(ids)


def test_several_targets_stand_under_a_total_that_links_to_them():
    page = Page(rendered())
    assert [text for text in page.texts if text][:3] == [
        "torchdropout: 1 of 3 targets passed",
        "torchdropout verify",
        "1 of 3 targets passed",
    ]
    sections = [a["id"] for a in page.named("section", "td-target")]
    assert [a["href"] for a in page.named("a")] == [f"#{name}" for name in sections]
    moods = [a["class"].split()[1] for a in page.named("header")]
    assert moods == ["fail", "fail", "none", "pass"]
    assert len(page.named("h1")) == 1


def test_a_selection_is_recorded_and_leaves_no_verdict():
    assert "No target was verified" in words(Report(()))
    assert "interrupted after no checks" in words(Report((r.target(interrupted=True),)))
    one = r.target(r.OK, r.SEES, selection=r.MODE, file="src/drops.py", line=41, spec="drop-path")
    said = words(Report((one,)))
    assert "defined in src/drops.py:41" in said
    assert "claims to be drop-path" in said
    assert "A p-value is that of a check's most extreme test" in said
    assert "a correct dropout" not in said.lower()
    assert "No verdict: 1 of 57 checks" in said
    assert "selection select mode, ignore TD504, 1 of 57 checks" in said
    page = Page(render_html(Report((one, one))))
    assert [a["class"].split()[1] for a in page.named("header")] == ["none"] * 3
    assert "2 of 2 targets passed the selected checks" in " ".join(page.texts)


def test_findings_come_folded_errors_first_and_explain_themselves():
    known = r.check(name="kept-scale", code="TD511", message="off by 2")
    worst = [{"label": "p=0.5", "rate": 0.25, "n": 10}]
    figures = {"p_value": 1.23456789e-9, "odd": float("nan"), "none": None, "worst": worst}
    error = r.check(
        message="a rate of 0.25", figures=figures, broken="\n  x = 1 <\n  y\n", fixed="x = 2"
    )
    target = r.target(known, r.ADVICE, error, known=frozenset({"TD511"}))
    text = render_html(Report((target,)))
    page = Page(text)
    assert [a["class"] for a in page.named("details")] == [
        "td-finding fail", "td-finding advice", "td-finding known",
    ]  # fmt: skip
    assert not [a for a in page.named("details") if "open" in a]
    first = Page(re.search(r"<details.*?</details>", text, re.S)[0])
    assert " | ".join(text for text in first.texts if text) == (
        "FAIL | drop-rate | TD521 | a rate of 0.25 | The summary of drop-rate. | Measured: | a call"
        " | . | It matters a lot. | code = 1 < 2 | To fix: fix it. | Broken | x = 1 <\ny | Fixed"
        " | x = 2 | Figures | p_value | 1.23457e-09 | odd | nan | none | none | label | rate | n"
        " | p=0.5 | 0.25 | 10"
    )


def test_a_notebook_gets_a_fragment_with_its_own_style():
    text = render_html_fragment(Report((r.target(*r.EVERY),)))
    assert text.startswith('<div class="td-report">')
    assert "<!doctype" not in text
    assert not {"html", "head", "body", "meta", "title"} & {tag for tag, _ in Page(text).elements}
    style = re.search(r"<style>(.*?)</style>", text, re.S)[1]
    for selectors in re.findall(r"([^{}]+)\{", re.sub(r"@\w+[^{]*\{", "", style)):
        for selector in re.split(r",(?![^(]*\))", selectors):
            assert "td-" in selector, selector


def test_the_text_report_loads_no_matplotlib(processes):
    code = (
        "import sys\nfrom torchdropout.verify.results import Report\n"
        "from torchdropout.verify.report import render_text, render_junit\n"
        "render_text(Report(())), render_junit(Report(()))\n"
        "assert 'matplotlib' not in sys.modules"
    )
    assert processes.run(code) == (0, "")


# In Chromium

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)
MEASURE = """
const d = document;
d.querySelectorAll("details").forEach(e => e.open = true);
const rgb = c => c.match(/[\\d.]+/g).map(Number);
const light = c => c.slice(0, 3).map(v => v / 255)
  .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
const under = e => {
  for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c;
  }
  return [255, 255, 255];
};
const pale = [], small = [], cut = [];
const walk = d.createTreeWalker(d.body, NodeFilter.SHOW_TEXT);
let count = 0;
for (let n = walk.nextNode(); n; n = walk.nextNode()) {
  const e = n.parentElement, s = getComputedStyle(e);
  if (!n.data.trim() || e.tagName == "STYLE" || e.tagName == "SCRIPT") continue;
  count++;
  const svg = e.closest("svg"), ink = rgb(svg ? s.fill : s.color);
  const [a, b] = [light(ink), light(under(e))].sort((x, y) => y - x);
  if ((a + .05) / (b + .05) < 4.5) pale.push(n.data + " " + ink + " on " + under(e));
  const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
  if (parseFloat(s.fontSize) * scale < 8.5) small.push(n.data);
  if (svg) { const t = e.getBoundingClientRect(), o = svg.getBoundingClientRect();
    const out = [o.left - t.left, t.right - o.right, o.top - t.top, t.bottom - o.bottom];
    if (Math.max(...out) > 1) cut.push(n.data) }
}
const marks = [...d.querySelectorAll("svg :is(path, use):not(defs *)")]
  .map(e => getComputedStyle(e))
  .filter(s => [s.fill, s.stroke].includes("rgb(0, 0, 0)")).length;
parent.document.title = JSON.stringify({
  width: innerWidth, scroll: d.documentElement.scrollWidth, count, pale, small, cut, marks,
  dark: light(under(d.querySelector("main"))) < .2,
  pictures: [...d.querySelectorAll("svg[role=img]")].map(e => e.getBoundingClientRect().width),
});
"""


def look(folder, page, width, dark):
    """What the measuring script says of a page in a frame of that width."""
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    assert free != page  # the page's own policy would stop the script that measures it
    shown = html.escape(free.replace("</body>", f"<script>{MEASURE}</script></body>"))
    frame = f'<iframe srcdoc="{shown}" style="width:{width}px;height:900px;border:0"></iframe>'
    file = folder / "frame.html"
    file.write_text(f"<!doctype html><title>not measured</title>{frame}", encoding="utf-8")
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        f"--user-data-dir={folder / 'profile'}", "--window-size=1400,1000",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        "--virtual-time-budget=3000", "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    title = html.unescape(re.search(r"<title>(.*?)</title>", done.stdout, re.S)[1])
    return json.loads(title)


@pytest.mark.integration
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_chromium_shows_all_of_it_readably(tmp_path, width, dark):
    seen = look(tmp_path, rendered(), width, dark)
    assert seen["width"] == width
    assert seen["scroll"] <= width
    assert seen["dark"] is dark
    assert seen["count"] > 100
    assert len(seen["pictures"]) == len(r.PICTURED)
    assert all(280 <= drawn <= width for drawn in seen["pictures"])
    for fault in ("pale", "small", "cut"):
        assert seen[fault] == [], fault
    assert seen["marks"] == 0


@pytest.mark.integration
def test_a_run_on_a_real_dropout_has_all_pictures(torchs):
    page = render_html(Report((torchs,)))
    captions = re.findall(r"<figure", page)
    assert len(captions) == 5
