"""Hints for names that are unknown, and what a shell completes."""

import pytest

from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.reporting.findings import Rule
from torchdropout.reporting.selection import Choice, close_to

LONG = [f"{letter}-drop-{'x' * 20}" for letter in "abcde"]


@pytest.mark.parametrize(
    ("word", "names", "expected"),
    [
        ("alhpa", ["alpha", "beta"], "close to it: alpha"),
        ("ALPHA", ["Alpha"], "close to it: Alpha"),
        ("abcd", ["abxy"], "close to it: abxy"),  # half of it is the same
        ("abcd", ["axyz"], "otherwise"),
        ("zzz", ["alpha", "beta"], "otherwise"),
        ("", ["alpha"], "otherwise"),
        # The three closest.
        ("abcdef", ["abcxyz", "abcdex", "abcxyx", "abcdxy"], "close to it: abcdex, abcdxy, abcxyz"),
        # Three that hold it, in their order.
        ("DROP", LONG, f"close to it: {', '.join(LONG[:3])}"),
        ("drop", ["drops", *LONG], f"close to it: drops, {', '.join(LONG[:3])}"),
    ],
)
def test_names_that_are_close(word, names, expected):
    assert close_to(word, names, "otherwise") == expected
    assert close_to(word, names) == ("" if expected == "otherwise" else expected)


NAMES = [("TD101", "one", "first"), ("TD102", "two", "first"), ("TD201", "three", "second")]
RULES = {
    name: Rule(code, name, group, "error", f"What {name} needs.", "") for code, name, group in NAMES
}
CHOICE = Choice(RULES, "rule", "program --rules")


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("one", {"one"}),
        ("First", {"one", "two"}),
        ("td1", {"one", "two"}),
        ("TD201", {"three"}),
        ("TD", {"one", "two", "three"}),
        ("TD3", set()),
        ("D1", set()),
        ("TD1x", set()),
        ("on", set()),
        ("", set()),
    ],
)
def test_what_a_word_stands_for(part, names):
    assert CHOICE.matching(part) == names


def test_what_a_shell_completes():
    assert CHOICE.completions() == [
        ("one", "What one needs."),
        ("two", "What two needs."),
        ("three", "What three needs."),
        ("first", "the rules of a group"),
        ("second", "the rules of a group"),
        ("TD101", "one"),
        ("TD102", "two"),
        ("TD201", "three"),
    ]
    assert CHOICE.hint("qqq") == "`program --rules` lists them"
    assert CHOICE.hint("thre") == "close to it: three"


@pytest.mark.parametrize(
    ("select", "ignore", "names"),
    [
        ((), (), {"one", "two", "three"}),
        ("two", (), {"two"}),
        (["TD2, one", "\n"], (), {"one", "three"}),
        (["first", "second"], "td101 three", {"two"}),
        ("", ["first"], {"three"}),
    ],
)
def test_what_is_chosen(select, ignore, names):
    assert CHOICE.chosen(select, ignore) == names


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (((1,), ()), ArgumentTypeError, r"^Expected `select` to hold strings, got 1 \(int\)$"),
        (((), [None]), ArgumentTypeError, r"`ignore` to hold strings, got None \(NoneType\)"),
        (("one,thre", ()), ArgumentValueError, r"`select` to .*, got 'thre' \(str\); close to it"),
        (("one", ["one"]), ArgumentValueError, r"got select='one' \(str\) and ignore=\['one'\] "),
    ],
)
def test_what_cannot_be_chosen(arguments, error, said):
    with pytest.raises(error, match=said):
        CHOICE.chosen(*arguments)
