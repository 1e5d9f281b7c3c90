"""Findings as people read them."""

import re
import textwrap

import pytest
from rich.cells import cell_len

import _reports as r
from torchdropout_audit.registry import RULES
from torchdropout_audit.report import render_text
from torchdropout_audit.report.text import _cut
from torchdropout_audit.source import audit_text

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def test_a_finding_is_as_in_the_design():
    assert render_text(r.report(r.finding())) == (
        "src/model.py:41:9  TD101 functional-always-on  F.dropout(h, self.p) drops in eval too: "
        "training defaults to True  [fixable]\n"
        "    41 |     h = F.dropout(h, self.p)\n"
        "       |         ^^^^^^^^^^^^^^^^^^^^ add training=self.training\n"
        "1 error in 212 files (0.9 s). Run again with --fix to fix 1.\n"
    )


def test_advice_says_that_it_is():
    assert render_text(r.report(r.ADVICE)).splitlines()[0].endswith("to True  [advice]")
    both = r.finding(severity="advice", fix=r.UNSAFE)
    assert render_text(r.report(both)).splitlines()[0].endswith("[advice, fixable, unsafe]")


UNSAFE = r.finding(fix=r.UNSAFE)
INCOMPLETE = r.report(complete=False)
INTERRUPTED = r.report(complete=False, interrupted=True)


@pytest.mark.parametrize(
    ("report", "said", "offer"),
    [
        (r.report(), "no errors in 212 files", ""),
        (r.report(files=1), "no errors in 1 file", ""),
        (r.report(r.ADVICE), "no errors, 1 advice in 212 files", ""),
        (r.report(r.finding(), r.ADVICE), "1 error, 1 advice in 212 files", "--fix to fix 1"),
        (r.report(*[r.finding()] * 2), "2 errors in 212 files", "--fix to fix 2"),
        (r.report(UNSAFE), "1 error in 212 files", "--unsafe-fixes to fix 1"),
        (
            r.report(r.finding(), UNSAFE),
            "2 errors in 212 files",
            "--fix to fix 1, --unsafe-fixes to fix 1 more",
        ),
        (r.report(fixed=3), "3 fixed; no errors in 212 files", ""),
        (r.report(ignored=2), "2 ignored; no errors in 212 files", ""),
        (r.report(problems=("a", "b")), "no errors in 212 files, 2 problems", ""),
        (INCOMPLETE, "incomplete: no errors in 212 files", ""),
        (INTERRUPTED, "interrupted: no errors in 212 files", ""),
    ],
)
def test_the_last_line_counts(report, said, offer):
    offer = offer and f" Run again with {offer}."
    assert render_text(report).splitlines()[-1] == f"{said} (0.9 s).{offer}"


def marked(source, first, last, **more):
    """The two lines of a source and what is marked on it; `last` is the column after it."""
    one = r.finding(source=source, column=first, end_column=last, hint="", **more)
    shown, below = render_text(r.report(one)).splitlines()[1:3]
    assert shown.startswith("    41 | ")
    assert below.startswith("       | ")
    return shown[9:], below[9:]


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("\t\ty = drop(x)", "drop(x)"),
        ("a\ty = drop(x)", "drop(x)"),
        ("y = 'größer 日本語', drop(x)", "drop(x)"),
        ("y = drop('日本')", "drop('日本')"),
        ("y = drop('🎉')", "drop('🎉')"),
        ("y = 'e\u0301', drop(x)", "drop(x)"),
        ("y = '\x1b[31m', drop(x)", "drop(x)"),
        ("y = '\x0c', drop(x)", "drop(x)"),
    ],
)
def test_the_mark_stands_below_what_it_marks(source, part):
    first = source.index(part)
    shown, below = marked(source, first + 1, first + 1 + len(part))
    before = shown[: shown.index(part)]
    assert below == " " * cell_len(before) + "^" * cell_len(part)
    assert "\x1b" not in shown
    assert "\t" not in shown


def test_of_several_lines_the_first_is_marked_to_its_end():
    shown, below = marked("y = drop(  ", 5, 2, end_line=44)
    assert (shown, below) == ("y = drop(", "    ^^^^^")


def test_what_has_no_width_is_marked_all_the_same():
    assert marked("y", 1, 1) == ("y", "^")
    assert marked("y = (", 6, 7) == ("y = (", "    ^")
    assert render_text(r.report(r.finding(source=""))).count("\n") == 2


LONG = "x = [" + ", ".join(f"a{i}" for i in range(100)) + "], drop(x), " + "b" * 200


def test_of_a_long_line_the_part_round_the_mark_is_shown():
    first = LONG.index("drop(x)")
    shown, below = marked(LONG, first + 1, first + 8)
    assert cell_len(shown) <= 120
    assert shown.startswith("…")
    assert shown.endswith("…")
    start = below.index("^")
    assert shown[start : start + 7] == "drop(x)"
    assert below.strip() == "^" * 7


DIGITS = "0123456789" * 4


@pytest.mark.parametrize(
    ("source", "first", "last", "said"),
    [
        (DIGITS[:24], 2, 4, (DIGITS[:24], 2, 2)),
        (DIGITS[:25], 2, 4, (f"{DIGITS[:22]}…", 2, 2)),
        (DIGITS, 20, 22, (f"{DIGITS[:22]}…", 20, 2)),
        (DIGITS, 20, 23, (f"…{DIGITS[4:26]}…", 17, 3)),
        (DIGITS, 38, 40, (f"…{DIGITS[22:]}", 17, 2)),
        (DIGITS, 0, 40, (f"{DIGITS[:22]}…", 0, 22)),
        ("\u65e5" * 20, 15, 16, (f"…{chr(0x65E5) * 11}…", 17, 2)),
        (DIGITS[:3], 1, 1, (DIGITS[:3], 1, 1)),
        (DIGITS[:3], 3, 3, (DIGITS[:3], 2, 1)),
        ("y", 1, 1, ("y", 0, 1)),
        ("", 0, 0, ("", 0, 1)),
        ("\t\ty\t", 2, 3, (f"{' ' * 8}y   ", 8, 1)),
    ],
)
def test_the_mark_is_in_what_is_shown(source, first, last, said):
    assert _cut(source, first, last, 24) == said


def test_on_a_terminal_nothing_is_wider_than_it():
    hint = "a hint that is longer than there is room for next to the mark, and a word more"
    first = LONG.index("drop(x)")
    long = r.finding(source=LONG, column=first + 1, end_column=first + 8, hint=hint)
    problem = r.report(r.finding(), long, r.IN_NOTEBOOK, r.ADVICE)
    for width in (60, 80, 200):
        text = render_text(problem, width=width)
        assert max(cell_len(line) for line in text.splitlines()) <= width
        for word in (*hint.split(), "[fixable]", "functional-always-on", "True"):
            assert word in text
        assert ANSI.sub("", render_text(problem, width=width, styled=True)) == text


def test_what_fits_exactly_does_not_wrap():
    one = r.report(r.finding())
    first, _, below, _ = render_text(one).splitlines()
    for line in (first, below):
        width = cell_len(line)
        assert line in render_text(one, width=width).splitlines()
        assert line not in render_text(one, width=width - 1).splitlines()


@pytest.mark.parametrize(("width", "used"), [(60, 60), (29, 29), (28, 28), (27, 28), (10, 28)])
def test_a_narrow_terminal_has_room_for_words(width, used):
    def wrapped(said):
        return [f"    {line}" for line in textwrap.wrap(said, used - 4, break_on_hyphens=False)]

    one = r.finding(source="")
    head, *lines = render_text(r.report(one), width=width, detail="rules").splitlines()
    assert head == "src/model.py:41:9  TD101 functional-always-on"
    message = wrapped(f"{one.message}  [fixable]")
    rule = wrapped(f"{RULES[one.name].summary} (torchdropout-audit --explain functional-always-on)")
    assert lines[: len(message) + len(rule)] == message + rule
    shown = render_text(r.report(r.finding(source=LONG, column=1)), width=width).splitlines()
    [line] = [line for line in shown if line.startswith("    41 | ")]
    assert cell_len(line) == max(width, 9 + 24) - 1  # an ellipsis has a cell, at both ends if cut


def test_colours():
    styled = render_text(r.report(r.finding(), r.ADVICE), styled=True)
    assert "\x1b[1;31mTD101" in styled
    assert "\x1b[33mTD123" in styled
    assert ANSI.sub("", styled) == render_text(r.report(r.finding(), r.ADVICE))
    assert "\x1b[1;32mno errors" in render_text(r.report(), styled=True)
    assert "\x1b[1;31minterrupted" in render_text(INTERRUPTED, styled=True)
    assert "\x1b[1;31mincomplete" in render_text(INCOMPLETE, styled=True)


def test_a_notebook_names_its_cell():
    line = render_text(r.report(r.IN_NOTEBOOK)).splitlines()[0]
    assert line.startswith("note books/a.ipynb:cell 3:2:9  TD101 ")


def test_nothing_steers_the_terminal():
    odd = r.finding(path="a\x1b[2J\n.py", message="say\x1b]0;x\x07\nmore", hint="h\x1b[1m")
    text = render_text(r.report(odd))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert len(text.splitlines()) == 4


@pytest.mark.parametrize("width", [None, 80, 300])
def test_of_a_line_that_a_finding_keeps_in_part_the_mark_stands_below_what_it_marks(width):
    for count in (3, 40, 400):  # shorter and longer than what is kept
        calls = ",".join(f"a{n}=F.dropout(x,0.{n + 10})" for n in range(count))
        found = audit_text(f"import torch.nn.functional as F\nf({calls})\n", "a.py")
        lines = render_text(r.report(*found), width=width).splitlines()
        marks = [at for at, line in enumerate(lines) if re.match(r" +\| +\^+( |$)", line)]
        assert len(marks) == count
        for number, at in enumerate(marks):
            first, end = lines[at].index("^"), lines[at].rindex("^") + 1
            assert lines[at - 1][first:end] == f"F.dropout(x,0.{number + 10})"
