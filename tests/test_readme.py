"""The README keeps its promises: its code runs, it shows what is printed, its figures are those."""

import doctest
import re
import xml.etree.ElementTree as ET

import pytest
import torch

import torchdropout as td
from _pages import commands, printed, timeless
from scripts import ROOT, loaded
from torchdropout import cli
from torchdropout.verify import RULES
from torchdropout.verify.runner import codes_of
from torchdropout.verify.specs.names import parse

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def draw():
    return loaded(ROOT / "docs" / "draw.py")


def test_the_first_lines_print_what_they_show():
    (block,) = re.findall(r"```pycon\n(.*?)```", README, re.DOTALL)
    example = doctest.DocTestParser().get_doctest(block, {}, "README.md", None, 0)
    assert len(example.examples) == 2
    assert doctest.DocTestRunner().run(example).failed == 0


@pytest.mark.integration
def test_the_python_blocks_run_and_do_what_they_say():
    scope = {}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "README.md", "exec"), scope)
    x, key = scope["x"], scope["key"]
    assert isinstance(scope["layer"], td.nn.Dropout)
    # "The same mask in every dtype and memory layout", and, by its place, in each part of a batch.
    assert torch.equal(scope["m"], scope["y"] != 0)
    assert torch.equal(td.functional.dropout(x.double(), 0.1, key=key) != 0, scope["m"])
    transposed = td.functional.dropout(x.T.contiguous().T, 0.1, key=key)
    assert torch.equal(transposed, scope["y"])
    part = td.MaskLayout.of((8, 16)).at((4, 0))
    assert torch.equal(td.functional.dropout(x[4:], 0.1, key=key, layout=part), scope["y"][4:])
    # "One draw a row."
    rows = scope["z"] != 0
    assert torch.equal(rows, rows[:, :1].expand_as(rows))
    # "z + dropout(x + bias)": the bias is 0.
    added = (scope["s"] - scope["z"]) * 0.9
    kept = added != 0
    torch.testing.assert_close(added[kept], x[kept])
    assert 0 < kept.sum() < kept.numel()
    # "Passes with three pieces of advice."
    assert scope["report"].passed
    assert len(scope["report"].findings) == 3


def test_the_commands_print_what_is_shown(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    shown = commands(README)
    assert len(shown) == 1
    for command, text in shown:
        assert printed(command, capsys) == (1, timeless(text))


def test_the_picture_of_the_report_is_what_the_command_prints(draw, monkeypatch, capsys):
    root = ET.parse(ROOT / "docs/plots/readme-report.svg").getroot()
    matrix = next(g for g in root.iter() if g.get("class") == "report-matrix")
    rows = {}
    for piece in matrix:  # a piece a colour, at its row and column
        rows.setdefault(float(piece.get("y")), []).append((float(piece.get("x")), piece.text))
    drawn = [
        "".join(text for _, text in sorted(pieces)).replace("\N{NO-BREAK SPACE}", " ").rstrip()
        for _, pieces in sorted(rows.items())
    ]
    monkeypatch.chdir(ROOT)
    assert cli.run(draw.VERIFY.split()) == 1
    expected = timeless(capsys.readouterr().out)
    command = f"$ torchdropout {draw.VERIFY}"
    assert joined("\n".join(drawn)) == joined(f"{command}\n\n{expected}")


def joined(text):
    """The words of a text, however its lines were broken."""
    return timeless(text).replace("\\\n", "").split()


def test_the_speeds_of_the_chart_are_those_of_the_table(draw):
    rows = draw.speeds()
    assert len(rows) > 10
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    for row in rows:
        figure = f"{row.measured:g} [{row.low:.3g}, {row.high:.3g}]"
        assert f"| {figure if row.met else f'**{figure}**'} |" in page
    chart = (ROOT / "docs/plots/readme-speed.svg").read_text(encoding="utf-8")
    texts = re.findall(r">([^<>]+)</text>", chart)
    assert [text for text in texts if text in {row.name for row in rows}] == [r.name for r in rows]
    figures = [text for text in texts if re.fullmatch(r"[\d.]+", text)]
    assert figures[-len(rows) :] == [f"{row.measured:g}" for row in rows]
    colours = re.findall(r"fill: (#0072b2|#d55e00)", chart)[: len(rows)]
    assert colours == [draw.BLUE if row.met else draw.ORANGE for row in rows]
    assert draw.machine() in texts
    slowest, fastest = (f(row.measured for row in rows) for f in (min, max))
    assert f"{slowest:.2g} to {fastest:.2g} times as fast as torch's dropout" in README


def test_what_it_installs_exists():
    (line,) = re.findall(r"^    pip install (.*)$", README, re.MULTILINE)
    extra, folder = re.fullmatch(r'"\.\[(\w+)\]" \./(\S+)', line).groups()
    assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert (ROOT / folder / "pyproject.toml").is_file()


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^    make (\S+)|`make ([\w-]+)`", README, re.MULTILINE)
    assert ("demo", "") in targets
    assert ("test", "") in targets
    for target in targets:
        assert f"\n{''.join(target)}:" in makefile


def test_the_numbers_of_checks_are_those_of_the_tables(draw):
    plain = codes_of(None, parse("plain"))
    asks = [f"up to {len(RULES)} checks ({len(plain)} for a plain dropout)"]
    chosen = draw.CHECKS.split(",")
    asked = [r for r in RULES.values() if r.name in chosen or r.group in chosen]
    asks.append(f"{len(asked)} of the checks")
    assert [text for text in asks if text not in README] == [], "README.md says other numbers"


def test_its_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert len(links) >= 15
    assert [link for link in links if not (ROOT / link).exists()] == []
