"""Calls of classes of other files."""

import ast

import pytest

from torchdropout_audit.code import Code
from torchdropout_audit.rules._abroad import abroad, called, class_of_project


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1, x=2", "1, x=2"),
        ("size, wide=True", "8, wide=True"),
        ("p", "{*()}"),
        ("q", "{*()}"),
        ("*a, 1", "*{*()}, 1"),
        ("**a", "**{*()}"),
        ("1 if p else 2", "{*()}"),
        ("", ""),
    ],
)
def test_arguments_as_constants(given, expected):
    code = Code(f"def f(p, a, q=1):\n    size = 8\n    Net({given})\n")
    (call,) = code.calls
    made = abroad(code, call)
    assert ast.unparse(made.node) == f"{{*()}}({expected})"
    assert (made.name, made.cls, made.function) == (None, None, None)


def test_without_a_project_nothing_is_found():
    code = Code("from other import Net\nNet()\n")
    assert called(code, code.calls[0]) is None
    assert class_of_project(code, code.calls[0]) is None
