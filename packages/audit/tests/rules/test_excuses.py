"""What comments and options say of a dropout that is left out, or put twice."""

import ast

import pytest

from torchdropout_audit.code import Code
from torchdropout_audit.rules._excuses import exclude, explained, is_kept_on_purpose


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f(x):\n    # It is not used.\n    return x", ["It is not used."]),
        ("def f(x):  # not used\n    return x", ["not used"]),
        ("def f(x):\n    y = 1  # never\n    return x", ["never"]),
        ("def f(x):\n    # a\n    # not b\n    # c\n    return x", ["a", "not b", "c"]),
        ("def f(x):\n    # a\n\n    # not b\n    return x", ["not b"]),
        ("def f(x):\n    # a\n    y = 1\n    # not b\n    return x", ["not b"]),
        ("def f(x):\n    # drop(x) # not now\n    return x", ["drop(x)", "not now"]),
        ("def f(x):\n    # TODO: without\n    return x", ["TODO", "without"]),
        ("def f(x):\n    return x\n    # disabled\n    # for now\n", ["disabled", "for now"]),
        ("def f(x):\n\treturn x\n\t# disabled", ["disabled"]),
        ("def f(x):\n    # drop(x) not now\n    return x", []),
        ("def f(x):\n    # dropout\n    return x", []),
        ("def f(x):\n    x = '''\n    not used'''\n    return x", []),
        ("def f(x):\n    return x\n# not used", []),
        ("def f(x):\n    return x\n    \n    # not used", []),
        ("# not used\ndef f(x):\n    return x", []),
        ("def f(x): return x\ndef g(x):\n    return x  # not used", []),
    ],
)
def test_comments_in_a_definition(source, said):
    code = Code(source)
    found = explained(code, code.tree.body[0])
    assert [each.strip() for each in found.split("\n") if each.strip()] == said


@pytest.mark.parametrize(
    ("source", "is_kept"),
    [
        ("f()  # unused", True),
        ("f(\n    1,  # kept for later\n)", True),
        ("f(\n    1,\n)  # deprecated", True),
        ("# unused\nf()", True),
        ("if x:\n    # unused\n    f()", True),
        ("f()", False),
        ("f()  # not used", False),  # an observation
        ("f('unused')", False),
        ("x = 1  # unused\nf()", False),
        ("f()\n# unused", False),
        ("# unused\n\nf()", False),
    ],
)
def test_comments_next_to_an_expression(source, is_kept):
    code = Code(source)
    [call] = [node for node in ast.walk(code.tree) if isinstance(node, ast.Call)]
    assert is_kept_on_purpose(code, call) is is_kept


@pytest.mark.parametrize(
    ("source", "is_so"),
    [
        ("if u: a()\nif not u: b()", True),
        ("if u: a()\nelse: b()", True),
        ("if u:\n    if v: a()\nif not u: b()", True),
        ("if u:\n    if v: a()\n    else: b()", True),
        ("if m == 1: a()\nif m == 2: b()", True),
        ("if m == 1: a()\nelif m == 2: b()", True),
        ("if m in p: a()\nif m in q: b()", True),
        ("if m == 1: a()\nif m in (2, 3): b()", True),
        ("if m == 1: a()\nif m < 2: b()", False),
        ("a()\nb()", False),
        ("if u: a()\nb()", False),
        ("if u: a()\nif u: b()", False),
        ("if u: a()\nif v: b()", False),
        ("if not u: a()\nif not u: b()", False),
        ("if m == 1: a()\nif m == 1: b()", False),
        ("if m == 1: a()\nif n == 2: b()", False),
        ("if m != 1: a()\nif m != 2: b()", False),
        ("if m == 1: pass\nelse: a()\nif m == 2: b()", False),
        ("if m == 1: pass\nelse: a()\nif m == 2: pass\nelse: b()", False),
    ],
)
def test_options_that_exclude_each_other(source, is_so):
    code = Code(source)
    calls = {each.node.func.id: each.node for each in code.calls}
    assert exclude(code, calls["a"], calls["b"]) is is_so
    assert exclude(code, calls["b"], calls["a"]) is is_so
