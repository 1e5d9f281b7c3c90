"""Comments that silence the audit, and those that silence nothing."""

import ast
import re
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from _reports import finding
from _texts import HEAD
from torchdropout_audit.comments import ON_PURPOSE, suppress
from torchdropout_audit.fix import fix_all, parses
from torchdropout_audit.registry import FINDERS, RULES
from torchdropout_audit.source import audit_text

FIRST = len(HEAD.splitlines()) + 1


def audit(text, rules=None):
    return suppress(audit_text(text, rules=rules), text, rules=rules)


def found(body, rules=None):
    """Names and lines of what is found in a body of `forward`; its first line is 1."""
    text = HEAD + textwrap.indent(textwrap.dedent(body), " " * 8)
    return [(f.name, f.line - FIRST + 1) for f in audit(text, rules)]


ALWAYS_ON = "functional-always-on"
GROUP = RULES[ALWAYS_ON].group


@pytest.mark.parametrize(
    "comment",
    [
        *("# torchdropout: ignore", "# torchdropout: ignore[functional-always-on]"),
        *("# torchdropout: ignore[TD101]", "# torchdropout: ignore[td101]"),
        *("# torchdropout: ignore[TD10]", f"# torchdropout: ignore[{GROUP}]"),
        "#torchdropout:ignore[ Functional-Always-On ]",
        "#  TorchDropout :  IGNORE [functional-always-on] for it is meant",
        "# torchdropout: ignore[functional-always-on]: it is meant",
        "# noqa: E501  # torchdropout: ignore[functional-always-on]  # more",
        *("# torchdropout: mc-dropout", "# torchdropout: mc-dropout: for the samples"),
        "# torchdropout: ignore[functional-always-on]  # torchdropout: ignore[TD1]",
    ],
)
def test_a_comment_silences_its_line(comment):
    assert found(f"return F.dropout(x, 0.1)  {comment}") == []


@pytest.mark.parametrize(
    "comment",
    [
        *("", "# noqa", "# torchdropout: ignored", "# torchdropout: ignore-all"),
        *("# dropout: ignore", "# torchdropout ignore", "# see torchdropout: ignore"),
        "# torchdropout: mc-dropouts",
    ],
)
def test_other_comments_say_nothing(comment):
    assert found(f"return F.dropout(x, 0.1)  {comment}") == [(ALWAYS_ON, 1)]


def test_in_a_string_it_is_no_comment():
    assert found('return F.dropout(x, 0.1), "# torchdropout: ignore"') == [(ALWAYS_ON, 1)]
    body = '''
        """
        # torchdropout: ignore-file
        """
        return F.dropout(x, 0.1)
    '''
    assert found(body) == [(ALWAYS_ON, 5)]


# bodies; what is left in each is on the lines that say "found"
PLACES = {
    "another line": """
        x = F.dropout(x, 0.1)  # torchdropout: ignore
        return F.dropout(x, 0.1)  # found
        """,
    "inside what is marked": """
        x = F.dropout(
            x,  # torchdropout: ignore[functional-always-on]
            0.1,
        )
        return F.dropout(x, 0.1)  # found
        """,
    "after the statement": """
        x = [
            F.dropout(x, 0.1),
            F.dropout(x, 0.2),
        ]  # torchdropout: ignore[functional-always-on]
        return F.dropout(x, 0.1)  # found
        """,
    "on another line of the statement": """
        x = [  # torchdropout: mc-dropout
            F.dropout(x, 0.1),  # found
            F.dropout(x, 0.2),  # torchdropout: ignore[functional-always-on]
        ]
        """,
    "above the statement": """
        # torchdropout: ignore[functional-always-on]
        x = [
            F.dropout(x, 0.1),
        ]
        return F.dropout(x, 0.1)  # found
        """,
    "above the statement, other comments between": """
        # torchdropout: mc-dropout

        # why
        x = F.dropout(x, 0.1)
        return F.dropout(x, 0.1)  # found
        """,
    "alone inside a statement": """
        x = [
            # torchdropout: ignore[functional-always-on]
            F.dropout(x, 0.1),
            F.dropout(x, 0.1),  # found
        ]
        """,
    "on the head of a block": """
        if x is not None:  # torchdropout: mc-dropout
            return F.dropout(x, 0.1)  # found
        """,
}


@pytest.mark.parametrize("body", PLACES.values(), ids=PLACES)
def test_what_a_comment_speaks_of(body):
    left = [n for n, line in enumerate(body.splitlines(), 1) if "# found" in line]
    assert [line for name, line in found(body) if name == ALWAYS_ON] == left


def test_a_class_is_not_ignored_from_inside():
    marked = finding(line=1, column=1, end_line=4, end_column=1)
    inside = "class A(\n    B\n):\n    x = 1  # torchdropout: ignore\n"
    assert marked in suppress([marked], inside)
    head = "class A(\n    B\n):  # torchdropout: ignore\n    x = 1\n"
    assert suppress([marked], head) == []


def test_a_file_is_ignored_wherever_it_says_so():
    bad = HEAD + "        return F.dropout(x, 1.5)\n"
    assert [f.name for f in audit(bad)] == [ALWAYS_ON, "p-out-of-range"]
    for comment in ("# torchdropout: ignore-file", "# torchdropout: ignore-file[TD1]"):
        assert audit(f"{comment}\n{bad}") == audit(f"{bad}\n{comment}\n") == []
    assert [f.name for f in audit(f"# torchdropout: ignore-file[TD12]\n{bad}")] == [ALWAYS_ON]


def test_a_file_of_monte_carlo_dropout():
    bad = HEAD + "        return F.dropout(F.relu(x), 0.1, training=True) + F.dropout(x, 0.1)\n"
    names = {f.name for f in audit(bad)}
    assert names == {ALWAYS_ON, "training-literal"}
    mark = "# torchdropout: mc-dropout\n"
    for top in ("", "#!/usr/bin/env python\n", '"""What it does."""\n\n'):
        assert audit(top + mark + bad) == []
    assert {f.name for f in audit("import os\n" + mark + bad)} == names  # speaks of what follows
    assert [f.name for f in audit(mark + bad + "        F.dropout(x, 1.5, True)\n")]


def test_what_is_on_purpose_is_rules_that_are_there():
    assert set(FINDERS) >= ON_PURPOSE


def test_a_source_that_does_not_parse_is_ignored_as_a_file():
    for text in ("x = (\n", "def f(:\n", "if x:\n  y\n z\n"):
        assert audit(f"# torchdropout: ignore-file\n{text}") == []
        # What else there is to ignore is not known.
        for comment in ("", "# torchdropout: ignore[p-one]\n"):
            assert [f.name for f in audit(comment + text)] == ["syntax-error"]


# sources, with what --fix takes out of each between « and », and what silences nothing there
UNUSED = [
    ("x = 1«  # torchdropout: ignore»\n", ["ignore"]),
    ("x = 1«  # torchdropout: ignore[p-one]»\n", ["ignore[p-one]"]),
    ("x = 1 « # torchdropout: ignore[p-one, TD124]» # why\n", ["ignore[p-one]", "ignore[TD124]"]),
    (
        "import torch.nn\ntorch.nn.Dropout(2)  # torchdropout: ignore[TD122«, p-one»] a reason\n",
        ["ignore[p-one]"],
    ),
    (
        "import torch.nn\ntorch.nn.Dropout(2)  # torchdropout: ignore[«TD1234,»TD122« , p-one»]\n",
        ["no rule is named 'TD1234'", "ignore[p-one]"],
    ),
    ("x = 1  # noqa« # torchdropout: ignore[p-oen]»\n", ["no rule is named 'p-oen'"]),
    ("x = 1«  # torchdropout: ignore[]»\n", ["`ignore` names no rule, and silences nothing"]),
    (
        "x = 1«  # torchdropout: ignore[p-one»\n",
        ["`ignore` has no closing bracket, and silences nothing"],
    ),
    # A line of its own; the last line, without an end.
    ("def f():\n«    # torchdropout: ignore\n»    return 1\n", ["ignore"]),
    ("x = 1\n«# torchdropout: ignore»", ["ignore"]),
    ("«# torchdropout: ignore-file[TD12]\r\n»x = 1\r\n", ["ignore-file[TD12]"]),
    ("x = 1\n\n«# torchdropout: ignore-file: it is made by a program\n»", ["ignore-file"]),
    # Old ends of lines, and an empty first line.
    ("\r«# torchdropout: ignore\r»x = 1\r", ["ignore"]),
    ("x = 1\ry = 2«  # torchdropout: ignore»\rz = 3\r", ["ignore"]),
]


@pytest.mark.parametrize(("marked", "said"), UNUSED)
def test_what_silences_nothing_is_told_and_taken_out(marked, said):
    text, fixed = re.sub("[«»]", "", marked), re.sub("«.*?»", "", marked, flags=re.S)
    unused = audit(text)
    said = [f"`{each}` silences nothing" if each.startswith("ignore") else each for each in said]
    assert [f.message.partition("; close to it: ")[0] for f in unused] == said
    assert {(f.name, f.code, f.severity) for f in unused} == {("unused-ignore", "TD003", "advice")}
    for f in unused:
        shown = f.source[f.column - 1 : f.end_column - 1]
        assert shown
        assert shown in f.message or shown.startswith("# torchdropout")
        assert f.source == text.splitlines()[f.line - 1]
    assert fix_all(text, audit)[0] == fixed
    assert audit(fixed) == []


def test_a_mark_of_monte_carlo_dropout_is_no_ignore():
    assert audit("x = 1  # torchdropout: mc-dropout\n") == []


def test_of_rules_that_were_not_applied_nothing_is_said():
    for comment in ("ignore[p-one]", "ignore", "ignore-file", "ignore-file[p-one, TD122]"):
        text = f"x = 1  # torchdropout: {comment}\n"
        assert audit(text, {"p-zero", "unused-ignore"}) == []
        assert audit(text, set(RULES) - {"unused-ignore"}) == []
        assert audit(text, set(RULES)) != []
    text = "x = 1  # torchdropout: ignore[p-zero, p-one]\n"
    assert len(audit(text, {"p-zero", "unused-ignore"})) == 1
    assert fix_all(text, lambda t: audit(t, {"p-zero", "unused-ignore"}))[0] == (
        "x = 1  # torchdropout: ignore[p-one]\n"
    )


def test_an_ignore_can_be_kept():
    assert audit("x = 1  # torchdropout: ignore[p-one, unused-ignore]\n") == []
    assert audit("x = 1  # torchdropout: ignore[p-one]  # torchdropout: ignore[TD003]\n") == []
    kept = "# torchdropout: ignore-file[unused-ignore]\nx = 1  # torchdropout: ignore[p-one]\n"
    assert audit(kept) == []


LINES = st.sampled_from(
    [
        *("x = 1", "if x:", "    y = (", "        2,", "    )", '"""', "'#", "\t", "\f", "\\"),
        *("# torchdropout: ignore", "  # torchdropout: ignore[p-one, no]", "größer = '日本'"),
        *("# torchdropout: ignore-file[TD1", " # torchdropout: ignore[] # noqa"),
        *("# torchdropout: mc-dropout", "\0"),
    ]
)
ENDS = st.sampled_from(["\n", "\r\n", "\r", "", " "])


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # in the texts
@settings(max_examples=300)
@given(st.lists(st.tuples(LINES, ENDS), max_size=12))
def test_whatever_the_text_comments_alone_are_taken_out(parts):
    text = "".join(line + end for line, end in parts)
    new, _ = fix_all(text, audit)
    if not parses(text):
        return
    assert ast.dump(ast.parse(new)) == ast.dump(ast.parse(text))
    if "\\" not in text:  # what continues a line needs one after it
        assert not any(f.name == "unused-ignore" and f.fix for f in audit(new))


@pytest.mark.parametrize("lines", [0, 999, 1001, 3000])
def test_a_comment_at_the_end_of_a_statement_of_many_lines(lines):
    text = f"return F.dropout(x, 0.1{chr(10) * lines})"
    assert found(text) == [(ALWAYS_ON, 1)]
    assert found(f"{text}  # torchdropout: ignore") == []
    unused = [(ALWAYS_ON, 1), ("unused-ignore", lines + 1)]
    assert found(f"{text}  # torchdropout: ignore[p-one]") == unused
    others = f"y = F.dropout(z, 0.1)\n{text}  # torchdropout: ignore\nreturn F.dropout(x, 0.1)"
    assert found(others, {ALWAYS_ON}) == [(ALWAYS_ON, 1), (ALWAYS_ON, lines + 3)]
    ends = f"return [F.dropout(x, 0.1),{chr(10) * lines}\nF.dropout(x, 0.1)]"
    assert found(ends) == [(ALWAYS_ON, 1), (ALWAYS_ON, lines + 2)]
    assert found(f"{ends}  # torchdropout: ignore") == []
