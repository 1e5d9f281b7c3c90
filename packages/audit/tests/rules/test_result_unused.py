"""TD113: a dropout whose result is discarded."""

import textwrap

import pytest
import torch

from _marks import fixed, marked
from torchdropout_audit.registry import RULES

NAME = "result-unused"


def module(body, drop="nn.Dropout(0.5)", head="class A(nn.Module):"):
    """A Module with a dropout and a body of `forward`."""
    return (
        f"{head}\n    def __init__(self):\n        self.drop = {drop}\n"
        f"    def forward(self, x):\n{textwrap.indent(body, ' ' * 8)}\n        return self.fc(x)\n"
    )


BAD = [
    module("F.dropout(x, 0.5, self.training)  #!"),
    module("F.dropout2d(x, training=self.training, inplace=False)  #!"),
    module("F.alpha_dropout(x, 0.5, self.training)  #!"),
    module("torch.dropout(x, 0.5, self.training)  #!"),
    module("self.drop(x)  #!"),
    module("self.drop(input=x)  #!"),
    module("self.inplace = True\nself.drop(x)  #!"),
    module("self.drop.forward(x)  #!"),
    module("nn.Dropout(0.5)(x)  #!"),
    module("if self.p:\n    self.drop(x)  #!"),
    module("for fc in self.fcs:\n    x = fc(x)\n    self.drop(x)  #!"),
    module("self.drop(x + 1)  #!"),
    module("self.drop(x)  #!", "nn.Dropout2d(0.5, inplace=False)"),
    module("(self.drop(x))  #!"),
    module("self.drop(x)  #!", head="class A(Elsewhere):"),
    module("drop = self.drop\nF.dropout(x, 0.5, self.training)  #!"),
    "class A(nn.Module):\n    def block(self, x, p):\n        F.dropout(x, p, True)  #!",
    "def block(x, p):\n    F.dropout(x, p, True)  #?\n    return x.relu()",
    module("for fc in self.fcs:\n    h = fc(x)\n    x = x + h\n    h = self.drop(h)  #!"),
    module("x = helper(x)") + "def helper(x):\n    F.dropout(x, 0.1, TRAIN)  #!\n    return x",
]
CLEAN = [
    module("x = F.dropout(x, 0.5, self.training)"),
    module("F.dropout(x, 0.5, self.training, True)"),
    module("F.dropout(x, 0.5, self.training, inplace=self.inplace)"),
    module("F.dropout(x, **self.options)"),
    module("self.drop(x)", "nn.Dropout(0.5, True)"),
    module("self.drop(x)", "nn.Dropout(0.5, inplace=flag)"),
    module("self.drop(x)", "make(0.5)"),
    module("self.drop(x)", "nn.Dropout(0.5)\n        self.drop.inplace = True"),
    module("self.drop(x)", "nn.Dropout(0.5) if flag else Special()"),
    module("self.drop(x)", "nn.Dropout(0.5)\n        self.drop = other"),
    module("self.drop(x)", "Dropout(0.5)"),
    module("self.dropout(x)"),
    module("x = self.fc(\n    self.drop(x)\n)"),
    module("self.drops[n](x)", "0\n        self.drops = nn.ModuleList([nn.Dropout(0.5), other])"),
    module(
        "h = x\nfor fc in self.fcs:\n    if fc.is_first:\n        h = fc(x)\n    x = x + h\n"
        "    h = self.drop(h)"
    ),
    module("h = x\nfor fc in self.fcs:\n    h = fc(h + x)\n    x = x + h\n    h = self.drop(h)"),
    "def block(x, p):\n    F.dropout(x, p, True)",
    module("return self.drop(x)"),
    module("y = [self.drop(x) for _ in range(3)]"),
    module("assert self.drop(x) is not None"),
    module("self.drop.eval()"),
    module("nn.Dropout(0.5)"),
    module("with pytest.raises(ValueError):\n    F.dropout(x, 2.0)"),
    module("with self.assertRaises(ValueError):\n    self.drop(x)"),
    "def bench(x):\n    for _ in range(99):\n        F.dropout(x, 0.5)\n    return x",
    "def warm(x):\n    F.dropout(x, 0.5)",
    "F.dropout(torch.ones(3), 0.5)",
    "import paddle.nn.functional as F\n" + module("F.dropout(x, 0.5)"),
    "frame.dropna(0)\ndef f(x):\n    x.dropout(0.5)\n    return x",
]


@pytest.mark.parametrize("source", BAD)
def test_found(source):
    found, expected = marked(NAME, source)
    assert found == expected
    assert expected


@pytest.mark.parametrize("source", CLEAN)
def test_clean(source):
    assert marked(NAME, source) == ([], [])


def test_a_test_may_call_it_for_what_else_it_does():
    source = "def test_it(x):\n    F.dropout(x, 0.5)\n    assert x.grad is None"
    assert marked(NAME, source, "tests/test_it.py")[0] == []
    assert len(marked(NAME, source)[0]) == 1


def test_fix():
    source = module("self.drop(x)")
    assert fixed(NAME, source)[0] == source
    text, left = fixed(NAME, source, unsafe=True)
    assert "        x = self.drop(x)\n" in text
    assert left == ()


def test_fix_of_a_name_that_the_function_assigns():
    text, left = fixed(NAME, module("h = self.fc(x)\nself.drop(h)\nx = h"), unsafe=True)
    assert "        h = self.drop(h)\n" in text
    assert left == ()


def test_fix_in_parentheses():
    text, left = fixed(NAME, module("(self.drop(x))"), unsafe=True)
    assert "        x = (self.drop(x))\n" in text
    assert left == ()


@pytest.mark.parametrize(
    "body",
    [
        "self.drop(x + 1)",
        "self.drop(far)",
        "self.drop(far)\nx = x + far",
        "def g():\n    far = 1\nself.drop(far)\nx = x + far",
    ],
)
def test_no_fix_without_a_name_of_the_function(body):
    _, [finding] = fixed(NAME, module(body), unsafe=True)
    assert finding.fix is None


@pytest.mark.parametrize(
    ("body", "becomes", "hint"),
    [
        ("self.drop(x)", "discarded", "assign it to x"),
        ("self.drop(x + 1)", "discarded", "assign the result"),
        ("h = self.drop(x)", "given to h, which is not read", "read the result"),
        ("h = self.drop(x)\nh = self.fc(x)\nx = x + h", "given to h, which gets another value",
         "read the result"),
    ],
)  # fmt: skip
def test_what_becomes_of_the_result_and_what_to_do(body, becomes, hint):
    _, [finding] = fixed(NAME, module(body))
    assert f"the result of self.drop is {becomes}: " in finding.message
    assert finding.hint == hint


@pytest.mark.parametrize(("which", "drops"), [("broken", False), ("fixed", True)])
def test_what_torch_does(which, drops):
    scope = {}
    exec(getattr(RULES[NAME], which), scope)
    assert bool((scope["Head"]()(torch.ones(1000)) == 0).any()) is drops
