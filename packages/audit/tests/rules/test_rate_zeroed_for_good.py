"""TD164: a rate that the first evaluation sets to 0 for good."""

import textwrap

import pytest
import torch

from _marks import HEAD, marked
from torchdropout_audit.registry import RULES

NAME = "rate-zeroed-for-good"


def net(forward, rest="", head="class A(nn.Module):"):
    """A Module with a rate and a dropout, and a body of `forward`."""
    body = textwrap.indent(textwrap.dedent(forward).strip("\n"), " " * 8)
    return f"""\
{head}
    def __init__(self, p=0.5):
        super().__init__()
        self.p = self.dropout_p = p
        self.drop = self.shake = nn.Dropout(p)

    def forward(self, x):
{body}
        return F.dropout(self.drop(x) + 1, self.p, self.training)

{textwrap.indent(textwrap.dedent(rest), "    ")}"""


BAD = [
    net("if not self.training:\n    self.p = 0.  #!"),
    net("if not self.training:\n    self.p = -0.0  #!"),
    net("if not self.training:\n    self.dropout_p = 0  #!"),
    net("if not self.training:\n    self.drop.p = 0.0  #!"),
    net(
        "if not self.training:\n    self.shake.p = 0.0  #!",
        "def cut(self):\n    self.shake = None\n",
    ),
    net("if self.training is False:\n    self.p = 0.0  #!"),
    net("if self.training == False:\n    self.p = 0.0  #!"),
    net("if self.training is not True and not self.training:\n    self.p = 0.0  #!"),
    net("if self.training:\n    x = x + 1\nelse:\n    self.p = 0.0  #!"),
    net("if self.training:\n    x = x\nelif x.dim() > 1:\n    self.p = 0.0  #!"),
    net("if not self.training and self.p > 0:\n    self.p = 0.0  #!"),
    net("if not self.training:\n    with torch.no_grad():\n        self.p = 0.0  #!"),
    net("self.p = self.p if self.training else 0.0  #!"),
    net("self.p = 0.0 if not self.training else self.p  #!"),
    net("zero = 0.0\nif not self.training:\n    self.p = zero  #!"),
    net("self.off()", "def off(self):\n    if not self.training:\n        self.p = 0.0  #!\n"),
    net("if not self.training:\n    self.p = 0.0  #!\n    self.drop.p = 0.0  #!"),
]
CLEAN = [
    net("p = 0.0 if not self.training else self.p"),
    net("if not self.training:\n    p = 0.0"),
    net("if self.training:\n    self.p = 0.0"),
    net("if not self.training:\n    self.p = 0.1"),
    net("if not self.training:\n    self.p = False"),
    net("if not self.training:\n    self.q = 0.0"),
    net("if not self.training:\n    self.keep_dropout = 0.0"),
    net("if not self.training:\n    self.drop = 0.0"),
    net("if not self.training:\n    x.p = 0.0"),
    net("if not self.training:\n    x.dropout_p = 0.0"),
    net("if not self.training:\n    self.part(x).dropout_p = 0.0"),
    net("if not self.training:\n    self.dropout_p = self.part(x)", "def f(self): self.p = 1"),
    net("if not self.training or self.off:\n    self.p = 0.0"),
    net("if not (self.training and self.on):\n    self.p = 0.0"),
    net("if self.training and self.on:\n    x = x\nelse:\n    self.p = 0.0"),
    net("if not x.training:\n    self.p = 0.0"),
    net("if self.off:\n    self.p = 0.0"),
    net("if self.off is False:\n    self.p = 0.0"),
    net("if self.training == 1:\n    self.p = 0.0"),
    net("if self.training is self.on:\n    self.p = 0.0"),
    net("if self.training is True:\n    self.p = 0.0"),
    net("if self.training != True:\n    self.p = 0.0"),
    net("if -self.training:\n    self.p = 0.0"),
    net("if not self.off:\n    self.p = 0.0"),
    net("if not self.evaluating:\n    self.p = 0.0"),
    net("if not training:\n    self.p = 0.0"),
    net("self.p = 0.0"),
    net("self.p = self.q if self.training else 0.0"),
    net("self.p = self.p if x else 0.0"),
    net("if not self.training:\n    self.p = 0.0\nelse:\n    self.p = 0.5"),
    net("if not self.training:\n    self.p = 0.0", "def set(self, p):\n    self.p = p\n"),
    net("if not self.training:\n    self.p = 0.0", "def set(self, p):\n    self.p += p\n"),
    net("if not self.training:\n    self.p = 0.0", "def f(self, p):\n    setattr(self, 'p', p)\n"),
    net("if not self.training:\n    self.p = 0.0") + "def set(model, p):\n    model.p = p\n",
    net("x = x", "def off(self):\n    if not self.training:\n        self.p = 0.0\n"),
    net("if not self.training:\n    self.p = 0.0", head="class A:"),
    net("if not self.training:\n    self.p = 0.0", head="class A(object):"),
    "import keras\n" + net("if not self.training:\n    self.p = 0.0", head="class A(keras.Model):"),
]


@pytest.mark.parametrize("source", BAD)
def test_found(source):
    found, expected = marked(NAME, source)
    assert found == expected
    assert expected


@pytest.mark.parametrize("source", CLEAN)
def test_clean(source):
    assert marked(NAME, source) == ([], [])


@pytest.mark.parametrize("source", BAD)
def test_the_rate_is_gone_after_an_evaluation(source):
    scope = {}
    exec(HEAD + source, scope)
    model = scope["A"]()
    x = torch.ones(4, 4)
    model.train()(x)
    assert (model.p, model.dropout_p, model.drop.p) == (0.5, 0.5, 0.5)
    model.eval()(x)
    model.train()(x)
    assert 0 in (model.p, model.dropout_p, model.drop.p)


@pytest.mark.parametrize(("which", "drops"), [("broken", False), ("fixed", True)])
def test_what_torch_does(which, drops):
    scope = {}
    exec(getattr(RULES[NAME], which), scope)
    model = scope["Attention"](p=0.9)
    q = torch.randn(1, 1, 16, 8)
    expected = model.eval()(q, q, q)
    assert torch.equal(model.train()(q, q, q), expected) is not drops
