"""The check of phrases finds a planted one, and has nothing to say of a clean text."""

import pytest

from scripts import ROOT, loaded

DOCS = ROOT / "docs"


words = loaded(DOCS / "words.py")
PHRASES = words.phrases((DOCS / "style.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.instead_of)
def test_each_row_finds_its_own_example_and_not_its_replacement(phrase):
    found = words.look(phrase.instead_of, PHRASES)
    assert [place.phrase for place in found] == [phrase] * len(found) != []
    assert words.look(phrase.write, PHRASES) == []


def test_the_table_has_the_twenty_commonest():
    assert len(PHRASES) >= 20


PLANTED = "import torch\n\n\ndef mend(judge):  # it comes again\n    pass\n"  # words: allowed


def test_a_planted_phrase_is_found_by_line_and_a_name_is_not(tmp_path, capsys):
    file = tmp_path / "planted.py"
    file.write_text(PLANTED)
    assert words.main([str(file)]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f'{file}:4: "comes again": write "the mask repeats"'  # words: allowed
    assert printed[1].startswith("1 phrases to replace: ")
    (tmp_path / "page.md").write_text("# A page\n\nThe judge of the world.\n")  # words: allowed
    assert words.main([str(tmp_path)]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_a_line_of_a_docstring_is_found(tmp_path):
    text = 'def f():\n    """Do it.\n\n    It shall not.\n    """\n'  # words: allowed
    assert [place.line for place in words.look(text, PHRASES, python=True)] == [4]


@pytest.mark.parametrize(
    "text",
    [
        '"""Of a positive number."""',  # words: allowed
        "x = 1  # Of attention: more features spill registers.",  # words: allowed
        '"""Do it.\n\n    name: Of the argument.\n"""',  # words: allowed
    ],
)
def test_a_comment_or_a_description_that_begins_with_of_is_found(text):
    assert len(words.look(text, PHRASES, python=True)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "There is no file, and there are no errors.",
        "p is no longer drawn on the world size.",
        "The caller checks what is recommended; the reader who left is fine.",
        "Two passes over one input; a flag takes precedence.",
        "tests/work/x.py, ./home/me, ~/work/x, 127.0.0.1",
        "It was asked of the user. A mask beside the picture.",
        "x = recommend(amend)",
        "# This is the name\n# of an argument, one of ten: of all, five are read.",
        "Two masks that cannot be told apart.",
        "row['mended'], \"accused\": 3",  # words: allowed
    ],
)
def test_a_clean_text_is_clean(text):
    assert words.look(text, PHRASES) == []


def test_a_line_that_says_so_is_left_out():
    assert words.look("It shall.  # words: allowed", PHRASES) == []
    assert words.look("It shall.", PHRASES) != []  # words: allowed
