"""The edits that rules share keep the manner of what is there."""

import ast

import pytest

from torchdropout_audit.code import Code
from torchdropout_audit.rules._edits import add_training, append_argument, gate_rate


def appended(source):
    code = Code(source)
    edit = append_argument(code, code.calls[0], "new=1")
    text = source[: edit.start] + edit.text + source[edit.end :]
    call = ast.parse(text).body[0].value
    assert call.keywords[-1].arg == "new"
    return text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("f(x)", "f(x, new=1)"),
        ("f(x )", "f(x, new=1 )"),
        ("f(x,)", "f(x, new=1,)"),
        ("f(x, p=0.5)", "f(x, p=0.5, new=1)"),
        ("f(x, (p))", "f(x, (p), new=1)"),
        ("f(x, p=((p)))", "f(x, p=((p)), new=1)"),
        ("f(x, (p) , )", "f(x, (p) , new=1, )"),
        ("f(x, # a, b) c\n  )", "f(x, new=1, # a, b) c\n  )"),
        ("f(x # a, b) c\n  )", "f(x, new=1 # a, b) c\n  )"),
        ("f(\n    x,\n    p,\n)", "f(\n    x,\n    p,\n    new=1,\n)"),
        ("f(\n    x,\n    p\n)", "f(\n    x,\n    p,\n    new=1\n)"),
        ("f(\r\n\tx,\r\n\tp\r\n)", "f(\r\n\tx,\r\n\tp,\r\n\tnew=1\r\n)"),
        ("f(\n    x,\n    p  # rate\n)", "f(\n    x,\n    p,  # rate\n    new=1\n)"),
        ("f(\n    x,\n    p,  # rate\n)", "f(\n    x,\n    p,  # rate\n    new=1,\n)"),
        ("f(\r\n\tx,\r\n\tp # a\r\n)", "f(\r\n\tx,\r\n\tp, # a\r\n\tnew=1\r\n)"),
        ("f(\n    p  # a\n    # b\n)", "f(\n    p,  # a\n    new=1\n    # b\n)"),
        ("f(\n    x, p  # both\n)", "f(\n    x, p, new=1  # both\n)"),
        ("f(x, p,\n  q)", "f(x, p,\n  q,\n  new=1)"),
        ("f('é', p)", "f('é', p, new=1)"),
        ("f(g(x)[0])", "f(g(x)[0], new=1)"),
        ("f(x, *rest)", "f(x, *rest, new=1)"),
        ("f(x, y)(z)", "f(x, y)(z, new=1)"),
    ],
)
def test_an_argument_is_appended(before, after):
    assert appended(before) == after


@pytest.mark.parametrize(
    ("rate", "gated"),
    [
        ("self.p", "self.p if self.training else 0.0"),
        ("0.1", "0.1 if self.training else 0.0"),
        ("self.p or 0.0", "(self.p or 0.0) if self.training else 0.0"),
        ("float(self.p)", "float(self.p) if self.training else 0.0"),
        ("(self.p)", "(self.p if self.training else 0.0)"),
    ],
)
def test_a_rate_is_gated(rate, gated):
    source = (
        "from torch import nn\nclass A(nn.Module):\n    def forward(self, x):\n"
        f"        return f(x, {rate})\n"
    )
    code = Code(source)
    call = next(c for c in code.calls if getattr(c.node.func, "id", "") == "f")
    fix = gate_rate(code, call.node.args[1])
    assert fix is not None
    assert fix.safe
    for edit in reversed(fix.edits):
        source = source[: edit.start] + edit.text + source[edit.end :]
    assert f"return f(x, {gated})" in source
    ast.parse(source)


METHOD = """
from torch import nn
class A({base}):
    def forward({parameters}):
        return {call}
"""


@pytest.mark.parametrize(
    ("base", "parameters", "call", "added", "is_safe"),
    [
        ("nn.Module", "self, x", "f(x)", "f(x, training=self.training)", True),
        ("nn.Module", "me, x", "f(p=x)", "f(p=x, training=me.training)", True),
        ("Unknown", "self, x", "f(x)", "f(x, training=self.training)", False),
        ("nn.Module", "self, x", "f()", None, None),
        ("object", "self, x", "f(x)", "f(x, training=self.training)", False),
        ("nn.Module", "", "f(x)", None, None),
    ],
)
def test_training_is_added(base, parameters, call, added, is_safe):
    source = METHOD.format(base=base, parameters=parameters, call=call)
    code = Code(source)
    fix = add_training(code, code.calls[0])
    assert (fix is None) is (added is None)
    if fix is not None:
        (edit,) = fix.edits
        assert f"return {added}" in source[: edit.start] + edit.text + source[edit.end :]
        assert fix.does == f"add {added[added.index('training=') : -1]}"
        assert fix.safe is is_safe


def test_outside_a_class_nothing_is_added_or_gated():
    code = Code("def forward(self, x):\n    return f(x)\n")
    assert add_training(code, code.calls[0]) is None
    assert gate_rate(code, code.calls[0].node.args[0]) is None
