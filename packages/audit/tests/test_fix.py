"""Edits made on a text: all of a fix or none, and nothing else touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _reports import finding
from torchdropout_audit.findings import Edit, Fix
from torchdropout_audit.fix import apply_fixes, fix_all, parses, without_tried
from torchdropout_audit.source import audit_text


def fixed(*edits, safe=True):
    return finding(fix=Fix("do it", edits, safe=safe))


def at(text, part, new):
    start = text.index(part)
    return Edit(start, start + len(part), new)


TEXT = "f(a)\r\n\tg(b)\r\n".replace("\t", "")


# edits of each finding, the text that comes out, how many are fixed
ROUNDS = [
    ([], "f(a)\r\ng(b)\r\n", 0),
    ([[Edit(2, 3, "xyz")]], "f(xyz)\r\ng(b)\r\n", 1),
    ([[Edit(8, 9, "y")], [Edit(2, 3, "x")]], "f(x)\r\ng(y)\r\n", 2),  # in any order
    ([[Edit(2, 3, "x"), Edit(8, 9, "y")]], "f(x)\r\ng(y)\r\n", 1),
    # The second overlaps the first by one of its edits: none of its edits is made.
    ([[Edit(2, 3, "x")], [Edit(0, 4, "h"), Edit(8, 9, "y")]], "f(x)\r\ng(b)\r\n", 1),
    ([[Edit(3, 3, ", x")], [Edit(3, 3, ", y")]], "f(a, x)\r\ng(b)\r\n", 1),
    ([[Edit(3, 3, ", x")], [Edit(2, 3, "y")]], "f(a, x)\r\ng(b)\r\n", 1),
    ([[Edit(2, 2, "x, ")], [Edit(2, 3, "y")]], "f(x, a)\r\ng(b)\r\n", 1),
    ([[Edit(2, 3, "x")], [Edit(3, 3, ", y")]], "f(x)\r\ng(b)\r\n", 1),
    ([[Edit(2, 3, "x")], [Edit(4, 4, " + 1")]], "f(x) + 1\r\ng(b)\r\n", 2),
    ([[Edit(1, 1, "f")], [Edit(2, 3, "x")]], "ff(x)\r\ng(b)\r\n", 2),
    ([[Edit(0, 1, "h")], [Edit(1, 4, "()")]], "h()\r\ng(b)\r\n", 2),  # side by side
    ([[Edit(1, 4, "()")], [Edit(0, 1, "h")]], "h()\r\ng(b)\r\n", 2),
    ([[Edit(0, 0, "x = ")], [Edit(8, 9, "y")]], "x = f(a)\r\ng(y)\r\n", 2),
    ([[Edit(8, 9, "y")], [Edit(0, 0, "x = ")]], "x = f(a)\r\ng(y)\r\n", 2),
    ([[]], "f(a)\r\ng(b)\r\n", 0),  # nothing to do
    ([[Edit(0, 0, "import x\n")]], "import x\r\nf(a)\r\ng(b)\r\n", 1),  # the file's line ends
    ([[Edit(2, 3, "(")]], "f(a)\r\ng(b)\r\n", 0),  # would not parse
    ([[Edit(2, 3, "(")], [Edit(8, 9, "y")]], "f(a)\r\ng(y)\r\n", 1),
    ([[Edit(0, 1, "h")], [Edit(2, 3, "(")], [Edit(8, 9, "y")]], "h(a)\r\ng(y)\r\n", 2),
    ([[Edit(2, 3, "x=1, x=2")]], "f(a)\r\ng(b)\r\n", 0),  # parses, and no compiler takes it
]


@pytest.mark.parametrize(("edits", "expected", "count"), ROUNDS)
def test_edits_are_made(edits, expected, count):
    assert apply_fixes(TEXT, [fixed(*each) for each in edits]) == (expected, count)


def test_of_fixes_that_parse_alone_but_not_together_the_first_is_made():
    edits = [Edit(2, 3, "x"), Edit(7, 8, "x"), Edit(14, 15, "y")]  # an argument is given twice
    assert apply_fixes("f(a=1, b=2)\ng(c)\n", list(map(fixed, edits))) == ("f(x=1, b=2)\ng(y)\n", 2)


def test_unsafe_fixes_are_made_when_asked_for():
    both = [fixed(Edit(2, 3, "x"), safe=False), fixed(Edit(8, 9, "y")), finding(fix=None)]
    assert apply_fixes(TEXT, both) == ("f(a)\r\ng(y)\r\n", 1)
    assert apply_fixes(TEXT, both, unsafe=True) == ("f(x)\r\ng(y)\r\n", 2)


def test_what_parses():
    for text in ("", "\ufeffx = 1", "def f():\n\treturn 1\n", "f(a=1, **b, **c)", "'\\d'"):
        assert parses(text.removeprefix("\ufeff"))
    for text in ("f(", "x = 1\n  y = 2", "f(a=1, a=2)", "x\0", "(" * 500 + ")" * 500):
        assert not parses(text)


def test_what_overlaps_is_fixed_in_the_next_round():
    def audit(text):
        # Each `a` is to be `b`, and the fix of it takes in the `a` after it.
        return [
            fixed(Edit(i, i + 2, "b" + text[i + 1])) for i in range(len(text) - 1) if text[i] == "a"
        ]

    assert fix_all("aaaaa1", audit) == ("bbbbb1", 5)


def test_a_fix_that_fixes_nothing_is_not_made():
    for new in ("y", "("):
        assert fix_all("x", lambda text, new=new: [fixed(Edit(0, 0, new))]) == ("x", 0)


def test_a_fix_that_was_not_asked_for_is_still_offered():
    unsafe, safe = fixed(Edit(0, 0, "y"), safe=False), fixed(Edit(0, 0, "y"))
    assert fix_all("x", lambda text: [unsafe] if text == "x" else []) == ("x", 0)
    made = fix_all("x", lambda text: [unsafe] if text == "x" else [], unsafe=True)
    assert made == ("yx", 1)
    assert [f.fix is None for f in without_tried([unsafe, safe])] == [False, True]
    assert [f.fix is None for f in without_tried([unsafe, safe], unsafe=True)] == [True, True]


MODEL = """\
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
\tdef forward(self, x):  # it drops
\t\treturn F.dropout( F.dropout(x, 0.1 ), p = 0.1, ) # "größer" 日本
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_model_is_fixed_and_all_else_stays(end):
    text = MODEL.replace("\n", end)
    new, count = fix_all(text, audit_text)
    assert count == 2
    assert "functional-always-on" not in [f.name for f in audit_text(new)]
    assert new.count(end) == text.count(end)
    assert new.count("\n") == text.count("\n")
    assert new.replace(", training=self.training", "").replace(" training=self.training", "") in (
        text,
        text.replace("0.1 )", "0.1)"),
        text.replace(", ) #", ",) #"),
    )
    assert fix_all(new, audit_text) == (new, 0)


PARTS = st.sampled_from(["a", "(b, c)", "f(x)", "1", "[", "", "d.e", "\n", "x=1"])


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6), PARTS), max_size=8))
def test_whatever_the_edits_what_comes_out_parses(edits):
    text = "f(a, b)\ng(c)\nx = [1, 2, 3]\n"
    findings = [
        fixed(Edit(min(start, len(text)), min(start + length, len(text)), new))
        for start, length, new in edits
    ]
    new, count = apply_fixes(text, findings)
    assert parses(new)
    assert 0 <= count <= len(findings)
    assert count or new == text
