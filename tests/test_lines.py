"""Lines of text: wrapped, coloured, and free of control characters."""

import pytest
from rich.text import Text

from torchdropout.reporting.lines import clean, fill, filled, hanging, listing, wrapped


def plain(lines):
    return [line.plain for line in lines]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a  b ", "a  b "),
        ("a\n   b", "a b"),
        ("a\t b", "a b"),
        ("a\x1b[2Jb\x07", "a [2Jb "),
        ("größer 日本", "größer 日本"),
    ],
)
def test_text_on_one_line_without_control_characters(text, expected):
    assert clean(text) == expected


@pytest.mark.parametrize(
    ("parts", "width", "expected"),
    [
        ([], None, ["head"]),
        ([], 40, ["head"]),
        (["one "], None, ["head  one"]),
        (["one", "two\n2"], None, ["head  one   two 2"]),
        (["a" * 90, "b" * 90], None, [f"head  {'a' * 90}   {'b' * 90}"]),
        # Room for 24 cells, as much as there is at least.
        (["a" * 10, "b" * 11], 30, [f"head  {'a' * 10}   {'b' * 11}"]),
        (["a" * 10, "b" * 12], 30, [f"head  {'a' * 10}", f"      {'b' * 12}"]),
        (["a" * 10, "b" * 12], 31, [f"head  {'a' * 10}   {'b' * 12}"]),
        (["a" * 10, "b" * 11], 5, [f"head  {'a' * 10}   {'b' * 11}"]),
        (["a" * 10, "b" * 12], 5, [f"head  {'a' * 10}", f"      {'b' * 12}"]),
        (["a" * 24], 30, [f"head  {'a' * 24}"]),
        (["a" * 20 + " aaaa"], 30, [f"head  {'a' * 20}", "      aaaa"]),
        (["a" * 7, "b" * 7, "c" * 5], 30, ["head  aaaaaaa", "      bbbbbbb", "      ccccc"]),
        (["a" * 7, "b" * 7, "c" * 4], 30, ["head  aaaaaaa   bbbbbbb   cccc"]),
    ],
)
def test_parts_hang_below_one_another(parts, width, expected):
    assert plain(hanging(Text("head  "), [(part, "") for part in parts], width)) == expected


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("", 5, [""]),
        ("ab cd", 5, ["ab cd"]),
        ("ab cd", 4, ["ab", "cd"]),
        ("aaa-bbb", 5, ["aaa-b", "bb"]),  # not broken at the hyphen
        ("ab", 0, ["a", "b"]),
        ("a\nb", 5, ["a b"]),
    ],
)
def test_text_in_lines_of_a_width(text, width, expected):
    assert fill(text, width) == expected
    assert plain(wrapped(text, width)) == expected
    assert plain(wrapped(text, None)) == [clean(text)]


WORDS = " ".join("a" * 60)


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        (WORDS, None, [WORDS[:99], WORDS[100:]]),
        ("aa" + " a" * 60, None, ["aa" + " a" * 49, " ".join("a" * 11)]),
        (WORDS, 50, [WORDS[:49], WORDS[50:99], WORDS[100:]]),
        ("a\nb", 50, ["a b"]),
        ("a\n b", 50, ["a", " b"]),
        ("\ta\nb", 50, ["\ta", "b"]),
        ("- a b\n- c", 3, ["- a b", "- c"]),
    ],
)
def test_paragraphs_are_filled_unless_they_are_indented(text, width, expected):
    assert plain(filled(text, width)) == expected


def test_source_is_indented_and_not_wrapped():
    source = "\n  if x:\n  \tf(\x1b) \n\n  " + "a" * 200 + "\n"
    assert plain(listing(source)) == ["    if x:", "          f( )", "", f"    {'a' * 200}"]
