"""Which of its values a name or an attribute surely has at one place."""

import ast
import textwrap

import pytest

from torchdropout_audit.code import Code
from torchdropout_audit.rules._reaching import reaching


def reached(source):
    code = Code(textwrap.dedent(source))
    expr = next(each.test for each in ast.walk(code.tree) if isinstance(each, ast.Assert))
    found = reaching(code, expr)
    return None if found is None else ast.unparse(found)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("assert 1", "1"),
        ("assert f(x)", "f(x)"),
        ("assert p", None),
        ("assert unknown", None),
        ("x = 1\nassert x", "1"),
        ("x = 1\nx = 2\nassert x", "2"),
        ("x: int = 1\nassert x", "1"),
        ("x = 1\nassert x\nx = 2", "1"),
        ("x = y = 1\nassert x", "1"),
        ("x, y = 1, 2\nassert x", "1"),
        ("x, y = p\nassert x", None),
        ("p = 1\nassert p", "1"),
        ("x = 1\nx += 1\nassert x", None),
        ("x = 1\nif p: x = 2\nassert x", None),
        ("if p: x = 1\nelse: x = 2\nassert x", None),
        ("x = 1\nif p: x = 2\nx = 3\nassert x", "3"),
        ("x = 1\nif p: assert x", "1"),
        ("if p:\n    x = 1\n    assert x", "1"),
        ("if p: x = 1\nelse: assert x", None),
        ("if p: pass\nelse:\n    x = 1\n    assert x", "1"),
        ("try: x = 1\nfinally: assert x", None),
        ("try: pass\nfinally:\n    x = 1\n    assert x", "1"),
        ("for i in p:\n    x = 1\n    assert x", "1"),
        ("for x in p: assert x", None),
        ("with p as x: assert x", None),
        ("with p: x = 1\nassert x", None),
        ("x = 1\nwith p: assert x", "1"),
        ("x = 1\ndef g(): assert x", None),
        ("x = 1\nx = [x for i in p if x]\nassert x", "[x for i in p if x]"),
        ("x = 1\ny = x\nassert y", "1"),
        ("a = b = 1\nb = a\na = b\nassert a", "1"),
        ("x1 = 1\nx2 = x1\nx3 = x2\nx4 = x3\nassert x4", "1"),
        ("x1 = 1\nx2 = x1\nx3 = x2\nx4 = x3\nx5 = x4\nx6 = x5\nassert x6", None),
        ("\n".join(f"x = {i}" for i in range(9)) + "\nassert x", "8"),
        ("\n".join(f"x = {i}" for i in range(40)) + "\nassert x", None),
    ],
)
def test_names(lines, expected):
    assert reached(f"def f(p):\n{textwrap.indent(lines, '    ')}\n") == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("x = 1\nx = asked(x)", "1"),
        ("x = 1\nx: int = asked(x)", "1"),
        ("x = 1\nx = [\n    asked(x)\n]", "1"),
        ("x = 1\ny = 2\nx = asked(x)\nx = 3", "1"),
        ("x = 1\nfor x in p: asked(x)", None),
        ("x = 1\nasked(x); x = 2", "1"),
        ("x = 1; asked(x)", "1"),
        ("asked(x)", None),
        ("x = asked(x)", None),
        ("[asked(x) for x in p]", None),
    ],
)
def test_a_name_in_what_it_is_assigned(lines, expected):
    code = Code(f"def f(p):\n{textwrap.indent(lines, '    ')}\n")
    asked = next(each.node for each in code.calls if each.node.func.id == "asked")
    found = reaching(code, asked.args[0])
    assert (found and ast.unparse(found)) == expected


NET = """
class Net:
    {body}
    def __init__(self, p):
{init}
    def f(self, p):
{lines}
class Below(Net):
    {below}
"""


@pytest.mark.parametrize(
    ("init", "lines", "expected"),
    [
        ("self.x = 1", "assert self.x", "1"),
        ("self.x = 1\nself.x = 2", "assert self.x", "2"),
        ("self.x = 1\nif p: self.x = 2", "assert self.x", None),
        ("if p: self.x = 2\nself.x = 1", "assert self.x", "1"),
        ("self.x = 1", "self.x = 2\nassert self.x", None),
        ("self.y = 1", "self.x = 2\nassert self.x", "2"),
        ("self.y = 1", "assert self.x", None),
        ("self.x = 1", "assert other.x", None),
        ("self.x = 1", "assert self.y.x", None),
        ("self.x = p", "assert self.x", None),
        ("pass", "self.y = 1\nassert self.y", "1"),
        ("pass", "assert self.f", None),
        ("self.f = 1", "assert self.f", None),
    ],
)
def test_attributes(init, lines, expected):
    init, lines = (textwrap.indent(each, " " * 8) for each in (init, lines))
    source = NET.format(init=init, lines=lines, body="pass", below="pass")
    assert reached(source) == expected


@pytest.mark.parametrize(
    ("body", "below", "expected"),
    [
        ("pass", "pass", "1"),
        ("x = 2", "pass", "1"),
        ("pass", "def g(self): self.x = 2", None),
        ("pass", "def g(self): self.y = 2", "1"),
        ("def g(self): self.x = 2", "pass", None),
    ],
)
def test_attributes_that_others_assign(body, below, expected):
    init, lines = "        self.x = 1", "        assert self.x"
    assert reached(NET.format(init=init, lines=lines, body=body, below=below)) == expected


def test_an_attribute_that_another_method_assigns():
    source = "class A:\n    def g(self): self.x = 1\n    def f(self): assert self.x\n"
    assert reached(source) is None
