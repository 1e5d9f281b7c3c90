"""What excuses code that has no effect: comments, and options that exclude each other."""

import pytest

from torchdropout_audit.code import Code
from torchdropout_audit.rules._excuses import exclude, explained, is_kept_on_purpose


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a()\nb()", False),
        ("if u: a()\nb()", False),
        ("if u: a()\nelse: b()", True),
        ("if u: a()\nif not u: b()", True),
        ("if u: a()\nif u: b()", False),
        ("if u: a()\nif v: b()", False),
        ("if u:\n    a()\n    if not v: b()", False),
        ("if m == 1: a()\nif m == 2: b()", True),
        ("if m == 1: a()\nif m in (2, 3): b()", True),
        ("if u:\n    if m == 1: a()\nif m == 2: b()", True),
        ("if m == 1: a()\nif m == 1: b()", False),
        ("if m == 1: a()\nif n == 2: b()", False),
        ("if m < 1: a()\nif m < 2: b()", False),
        ("if m == 1: a()\nif m < 2: b()", False),
        ("if m == 1: pass\nelse: a()\nif m == 2: b()", False),
    ],
)
def test_options_that_exclude_each_other(text, expected):
    code = Code(text)
    one, other = (call.node for call in code.calls)
    assert exclude(code, one, other) is exclude(code, other, one) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a()", False),
        ("a()  # unused", True),
        ("a()  # not used", False),  # an observation
        ("a(\n    1,\n)  # for old checkpoints, kept for them", True),
        ("# deprecated\na()", True),
        ("  # deprecated\na()", True),
        ("x = 1  # deprecated\na()", False),
        ("# deprecated\n\na()", False),
        ("a()\n# deprecated", False),
    ],
)
def test_what_a_comment_says_is_kept_on_purpose(text, expected):
    code = Code(text)
    assert is_kept_on_purpose(code, code.calls[0].node) is expected


@pytest.mark.parametrize(
    ("lines", "is_found"),
    [
        (["# the mask is not used"], True),
        (["# mask: ignored"], True),
        (["pass  # mask is ignored"], True),
        (["# x = mask * 2"], False),
        (["# x = mask * 2", "# this was wrong"], True),
        (["# this was wrong", "# x = mask * 2"], True),
        (["# this was wrong", "", "# x = mask * 2"], False),
        (["# this was wrong", "pass", "# x = mask * 2"], False),
        (["# self.f(mask), not used"], False),
        (["# the mask of x"], False),
    ],
)
def test_comments_that_explain_in_words(lines, is_found):
    for before, after in (([], ["return x"]), (["y = x"], [])):
        body = "".join(f"    {line}\n" for line in (*before, *lines, *after))
        code = Code(f"def f(x):\n{body}\n# the mask is ignored elsewhere\n")
        assert ("mask" in explained(code, code.functions[0].node)) is is_found
