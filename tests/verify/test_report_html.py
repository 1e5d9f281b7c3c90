import functools
import html.parser
import re

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
    for part in ("defined in src/drops.py:41", "claims to be drop-path", "A p-value is that of a",
                 "No verdict: 1 of 57 checks", "select mode, ignore TD504, 1 of 57"):  # fmt: skip
        assert part in said
    assert "a correct dropout" not in said.lower()
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
    said = " | ".join(text for text in first.texts if text)
    assert said.startswith(
        "FAIL | drop-rate | TD521 | a rate of 0.25 | The summary of drop-rate. |"
    )
    assert "It matters a lot. | code = 1 < 2 | To fix: fix it. | Broken | x = 1 <\ny | " in said
    assert "| p_value | 1.23457e-09 | odd | nan | none | none | label | rate | n |" in said


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


def light(colour):
    """The relative luminance of a colour such as #1c2128, as WCAG defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(c * weight for c, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def test_each_ink_can_be_read_on_each_paper_in_light_and_in_dark():
    pattern = r"--td-(\w+): light-dark\((#\w{6}), (#\w{6})\)"
    colours = {name: pair for name, *pair in re.findall(pattern, rendered())}
    for ink in ("ink", "dim", "seen", "pass", "fail", "warn"):
        for paper in ("paper", "card"):
            for mode in (0, 1):
                dark, pale = sorted(light(colours[name][mode]) for name in (ink, paper))
                assert (pale + 0.05) / (dark + 0.05) > 4.5, (ink, paper, mode)


@pytest.mark.integration
def test_a_run_on_a_real_dropout_has_all_pictures(torchs):
    page = render_html(Report((torchs,)))
    captions = re.findall(r"<figure", page)
    assert len(captions) == 5
