"""A model's sites as text, JSON and HTML."""

import json
from html.parser import HTMLParser

import pytest

from torchdropout.audit_model import AuditedSite, AuditedSites, report
from torchdropout.audit_model.report import (
    render_sites,
    render_sites_html,
    render_sites_html_fragment,
    render_sites_json,
)
from torchdropout.reporting.findings import Finding

HOSTILE = '<script>alert("x")</script>\x1b[31m\n&é'
GATED = {"train": True, "eval": False, "no_grad": True}
TABLE = AuditedSites(
    "Net",
    (
        AuditedSite("", "F.dropout", "net.py:3", 0.5, 0.5117, 256, 1, True, True, True, 1024),
        AuditedSite(
            "layers.0.attn", "MultiheadAttention", "net.py:9", 0.1, 0.1, 99, 1, **GATED, kept=16
        ),
        AuditedSite(
            "layers.0.drop", "Dropout", "net.py:10", 0.1, None, 0, 2, **GATED, also=("tied",)
        ),
        AuditedSite("layers.1.zero", "Dropout", "net.py:11", 0.0, None, 0, 1, False, False, False),
        AuditedSite(
            "head.net.drop", "Dropout", "net.py:12", 0.25, 0.25, 4, 1, True, None, True, 3 << 20
        ),
    ),
    (
        Finding("TD301", "alive-in-eval", "error", "the model's own F.dropout drops in eval"),
        Finding("TD303", "never-called", "advice", "x Dropout with p=0.1 was called in no pass"),
    ),
    ("compiled: run eagerly",),
    1.25,
)
HOSTILE_TABLE = AuditedSites(
    HOSTILE,
    (AuditedSite(HOSTILE, HOSTILE, HOSTILE, 0.5, also=(HOSTILE,)),),
    (Finding("TD301", "alive-in-eval", "error", HOSTILE),),
    (HOSTILE,),
)
EXPECTED = """\
Net
compiled: run eagerly

                    kind                p asked  p seen  calls  train  eval  no grad  kept   line
(itself)            F.dropout           0.5      0.5117  1      on     on    on       1 KiB  net.py:3
layers.0
  attn              MultiheadAttention  0.1      0.1     1      on     off   on       16 B   net.py:9
  drop              Dropout             0.1              2      on     off   on       0 B    net.py:10  also tied
head.net.drop       Dropout             0.25     0.25    1      on           on       3 MiB  net.py:12

1 site at p=0: --all lists them

error   TD301 alive-in-eval  the model's own F.dropout drops in eval
advice  TD303 never-called  x Dropout with p=0.1 was called in no pass

1 error, 1 advice at 5 sites in 1.2 s.
`torchdropout explain alive-in-eval` says why and how to fix it.
"""  # noqa: E501


def squeezed(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_text():
    assert squeezed(render_sites(TABLE)) == squeezed(EXPECTED)
    lines = render_sites(TABLE).splitlines()
    head = next(line for line in lines if line.lstrip().startswith("kind"))
    attn = next(line for line in lines if "attn" in line)
    assert attn.startswith("  attn")
    assert lines == [line.rstrip() for line in lines]
    assert attn.index("net.py") == head.index("line")
    assert "p asked  p seen  calls  train" in head
    assert str(TABLE) == render_sites(TABLE)


def test_all_lists_what_is_at_zero():
    text = render_sites(TABLE, every=True)
    assert "layers.1.zero" not in text
    assert "zero" in text
    assert "--all" not in text


def test_colours_change_no_character():
    import re

    styled = render_sites(TABLE, styled=True)
    assert "\x1b[" in styled
    assert re.sub(r"\x1b\[[0-9;]*m", "", styled) == render_sites(TABLE)


def test_findings_wrap_on_a_narrow_terminal():
    text = render_sites(TABLE, width=60)
    lines = text.splitlines()
    findings = [line for line in lines if line.startswith(("error", "advice"))]
    assert all(len(line) <= 60 for line in findings)


def test_json():
    text = render_sites_json(TABLE)
    data = json.loads(text)
    assert text == json.dumps(data, indent=2)
    assert data["schema"] == 1
    assert data["passed"] is False
    assert data["sites"][1] == {
        "name": "layers.0.attn",
        "also": [],
        "kind": "MultiheadAttention",
        "line": "net.py:9",
        "p_asked": 0.1,
        "p_seen": 0.1,
        "values": 99,
        "calls": 1,
        "on_in_train": True,
        "on_in_eval": False,
        "on_in_train_under_no_grad": True,
        "bytes_kept": 16,
    }
    assert [f["code"] for f in data["findings"]] == ["TD301", "TD303"]


class Tags(HTMLParser):
    VOID = ("meta", "br")

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parsed(page):
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert tags.open == []
    return tags


@pytest.mark.parametrize(
    "table", [TABLE, HOSTILE_TABLE, AuditedSites("Net", ())], ids=str.__class__
)
def test_html_is_whole_and_loads_nothing(table):
    page = render_sites_html(table)
    assert page.isascii()
    tags = parsed(page)
    names = {tag for tag, _ in tags.seen}
    assert names.isdisjoint({"script", "link", "img", "iframe"})
    assert not any("src" in attrs or "href" in attrs for _, attrs in tags.seen)
    assert any("Content-Security-Policy" in attrs.values() for _, attrs in tags.seen)
    names = [attrs["title"] for tag, attrs in tags.seen if tag == "th" and "title" in attrs]
    assert len(names) == len(table)


def test_html_says_what_the_text_says():
    said = " ".join(parsed(render_sites_html(TABLE)).text)
    for part in ("layers", "MultiheadAttention", "0.5117", "net.py:10 also tied", "TD301"):
        assert part in " ".join(said.split())


def test_html_is_the_tree_of_the_text():
    tags = parsed(render_sites_html(TABLE))
    heads = [attrs for tag, attrs in tags.seen if tag == "th" and attrs.get("scope") == "row"]
    lines = render_sites(TABLE, every=True).splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:1] == ["kind"]) + 1
    tree = lines[start : start + len(heads)]
    depths = [(len(line) - len(line.lstrip())) // 2 for line in tree]
    assert max(depths) > 0
    assert [each["style"] for each in heads] == [f"padding-left: {d * 1.2}rem" for d in depths]
    assert "layers.0.attn" in [each.get("title") for each in heads]


def test_hostile_text_steers_nothing():
    assert "\x1b" not in render_sites(HOSTILE_TABLE)
    assert "<script" not in render_sites_html(HOSTILE_TABLE)
    assert "\x1b" not in render_sites_html(HOSTILE_TABLE)
    json.loads(render_sites_json(HOSTILE_TABLE))


def test_a_notebook_shows_a_fragment():
    fragment = TABLE._repr_html_()
    assert fragment == render_sites_html_fragment(TABLE)
    assert fragment.startswith('<div class="td-sites">')
    parsed(fragment)


@pytest.mark.parametrize(
    ("findings", "text"),
    [
        ([], "no errors at 1 site in 1.2 s."),
        (["error"], "1 error at 1 site in 1.2 s."),
        (["advice"], "no errors, 1 advice at 1 site in 1.2 s."),
        (["error", "error", "advice"], "2 errors, 1 advice at 1 site in 1.2 s."),
    ],
)
def test_the_verdict(findings, text):
    found = tuple(Finding("TD301", "alive-in-eval", severity, "") for severity in findings)
    table = AuditedSites("Net", TABLE.sites[:1], found, seconds=1.25)
    assert report.verdict_line(table) == text
    assert table.passed == ("error" not in findings)
    assert len(table.errors) == findings.count("error")


def test_a_site_alive_in_eval_is_red():
    styled = render_sites(TABLE, styled=True).splitlines()
    red = [line for line in styled if "\x1b[1;31mon" in line]
    assert len(red) == 1
    assert "F.dropout" in red[0]
    before, after = red[0].split("\x1b[1;31mon")  # the switch of eval alone
    assert before.split()[-2:] == ["1", "on"]
    assert after.split()[1:3] == ["on", "1"]
    assert styled[0].startswith("\x1b[1m")
    assert "\x1b[1;31merror" in "\n".join(styled)
    assert "\x1b[33madvice" in "\n".join(styled)
    assert "\x1b[1;31m1 error" in "\n".join(styled)
    assert "\x1b[1;32mno errors" in render_sites(AuditedSites("Net", ()), styled=True)


def test_quiet_leaves_out_the_tree():
    lines = render_sites(TABLE, quiet=True).splitlines()
    assert lines[0].startswith("error")
    assert lines[-1].startswith("`torchdropout explain alive-in-eval`")
    assert render_sites(AuditedSites("Net", ()), quiet=True) == "no errors at no sites in 0.0 s.\n"


def test_a_number_that_json_does_not_have_is_not_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        render_sites_json(AuditedSites("Net", (AuditedSite("a", "Dropout", asked=float("nan")),)))
