"""TD111: a dropout module that is built each time it is used."""

import textwrap

import pytest
import torch

from _marks import fixed, marked
from torchdropout_audit.fix import fix_all
from torchdropout_audit.registry import RULES
from torchdropout_audit.source import audit_text

NAME = "module-built-in-forward"


def forward(body, head="class A(nn.Module):", rest=""):
    """A Module with a body of `forward`."""
    return f"{head}\n    def forward(self, x):\n{textwrap.indent(body, ' ' * 8)}\n{rest}"


BAD = [
    forward("return nn.Dropout(0.5)(x)  #!"),
    forward("return torch.nn.Dropout2d(p=self.p)(x)  #!"),
    forward("return nn.Dropout(0.5).to(x.device)(x)  #!"),
    forward("return nn.Dropout(0.5).forward(x)  #!"),
    forward("return nn.LSTM(8, 8, 2, dropout=0.5)(x)  #!"),
    forward("return nn.LSTM(8, 8, self.n, dropout=self.p)(x)  #!"),
    forward("return nn.Sequential(self.fc, nn.Dropout(0.5))(x)  #!"),
    forward("return (nn.Dropout(0.5) if self.p > 0 else nn.Identity())(x)  #!"),
    forward("return checkpoint(lambda y: nn.Dropout(0.5)(y), x)  #!"),
    forward("if self.p > 0:\n    x = nn.Dropout(self.p)(x)  #!\nreturn x"),
    forward("drop = nn.Dropout(0.5)  #!\nreturn drop(x)"),
    forward("drop: nn.Module = nn.Dropout(0.5).cuda()  #!\nreturn drop.forward(x)"),
    forward("if (drop := nn.Dropout(0.5)) is not None:  #!\n    x = drop(x)\nreturn x"),
    forward("net = nn.Sequential(self.fc, nn.Dropout(0.5))  #!\nreturn net(x)"),
    forward("self.drop = nn.Dropout(0.5)  #!\nreturn self.drop(x)"),
    forward("if self.p > 0:\n    self.drop = nn.Dropout(0.5)  #!\nreturn self.drop(x)"),
    forward(
        "self.drop = nn.Dropout(0.5)  #!\nif self.training:\n    x = x + 1\nreturn self.drop(x)"
    ),
    forward("def inner(y):\n    return nn.Dropout(0.5)(y)  #!\nreturn checkpoint(inner, x)"),
    forward(
        "return helper(self.fc(x), self.p)",
        rest="def helper(x, p):\n    return nn.Dropout(p)(x)  #!",
    ),
    forward(
        "return self.block(x)", rest="    def block(self, x):\n        return nn.Dropout()(x)  #!"
    ),
    forward("return x", rest="    def encode(self, x):\n        return nn.Dropout()(x)  #!"),
    forward("return nn.Dropout(0.1)(x)  #!", head="class A(Elsewhere):"),
    forward("return self.made()(x)", rest="    def made(self):\n        return nn.Dropout()  #!"),
    forward(
        "return self.steps[0](x)",
        rest="    def __init__(self):\n        self.steps = []\n"
        "        self.steps.append(lambda x: nn.Dropout(0.5)(x))  #!",
    ),
]
CLEAN = [
    forward(
        "return self.drop(x)", rest="    def __init__(self):\n        self.drop = nn.Dropout()"
    ),
    *(
        forward(f"return nn.LSTM(8, 8, {given})(x)")
        for given in ("dropout=0.5", "1, dropout=0.5", "2", "2, dropout=0", "2, dropout=None")
    ),
    forward("if self.training:\n    x = nn.Dropout(0.5)(x)\nreturn x"),
    forward("if not self.training:\n    return x\nreturn nn.Dropout(0.5)(x)"),
    forward("return nn.Dropout(self.p if self.training else 0.0)(x)"),
    # What gets it may set its mode.
    forward("return run(nn.Dropout(0.5), x)"),
    forward("return run(x, drop=nn.Dropout(0.5))"),
    "def make():\n    return lambda y: nn.Dropout(0.5)(y)",
    "def build():\n    return nn.Dropout(0.5)\ndef run(x):\n    return build()(x)",
    forward(
        "return self.made(self.training)(x)",
        rest="    def made(self, on):\n        return nn.Dropout(0.5)",
    ),
    # Functions that call each other, and no forward does.
    "def a(x):\n    return b(nn.Dropout(0.5)(x))\ndef b(x):\n    return a(x)",
    forward("return nn.Dropout(self.p * self.training)(x)"),
    forward("return nn.Dropout(0.5).train(self.training)(x)"),
    forward("drop = nn.Dropout(0.5)\ndrop.train(self.training)\nreturn drop(x)"),
    forward("drop = nn.Dropout(0.5)\ndrop.training = self.training\nreturn drop(x)"),
    forward("drop = nn.Dropout(0.5)\nself.set_mode(drop)\nreturn drop(x)"),
    forward("drop = nn.Dropout(0.5)\nreturn x"),
    forward("drop = nn.Dropout(0.5)\nif self.training:\n    x = drop(x)\nreturn x"),
    forward("if self.drop is None:\n    self.drop = nn.Dropout(0.5)\nreturn self.drop(x)"),
    forward('if not hasattr(self, "drop"):\n    self.drop = nn.Dropout(0.5)\nreturn self.drop(x)'),
    forward("self.drop = nn.Dropout(0.5)\nself.drop.train(self.training)\nreturn self.drop(x)"),
    forward("self.drop = nn.Dropout(0.5)\nself.train(self.training)\nreturn self.drop(x)"),
    forward("x = self.block(x) if self.training else x\nreturn x")
    + "    def block(self, x):\n        return self.more(x)\n"
    + "    def more(self, x):\n        drop = nn.Dropout()\n        return drop(x)\n",
    forward(
        "return helper(x, self.p if self.training else 0.0)",
        rest="def helper(x, p):\n    return nn.Dropout(p)(x)",
    ),
    forward("self.fetch()", rest="    @cache\n    def fetch(self):\n        self.d = nn.Dropout()"),
    forward(
        "if self.d is None:\n    self.ready()",
        rest="    def ready(self):\n        self.d = nn.Dropout()",
    ),
    forward("try:\n    return self.d(x)\nexcept AttributeError:\n    self.d = nn.Dropout()"),
    forward(
        "return x", rest="    def size(self):\n        return nn.Dropout()(torch.ones(8)).shape"
    ),
    forward(
        "def inner(y):\n    return nn.Dropout(0.5)(y)\n"
        "return checkpoint(inner, x) if self.training else inner_free(x)"
    ),
    forward(
        "return x",
        rest="    def training_step(self, x):\n        drop = nn.Dropout()\n        return drop(x)",
    ),
    forward("return nn.Dropout(0.5)(x)", head="class MCHead(nn.Module):"),
    forward("return nn.Dropout(0.5)(x)", head="class A(torch.autograd.Function):"),
    forward("return x", rest="    def training_step(self, x):\n        return nn.Dropout()(x)"),
    forward("return x", rest="    def __init__(self, x):\n        y = nn.Dropout()(x)"),
    forward("self.setup()", rest="    def setup(self):\n        self.drop = nn.Dropout()"),
    forward(
        "return x",
        rest="    def __init__(self):\n        self.size = count(lambda x: nn.Dropout(0.5)(x))",
    ),
    "y = nn.Dropout(0.5)(torch.ones(8))",
    "def demo(x):\n    return nn.Dropout(0.5)(x)",
    "class Dropout:\n    def __call__(self, x): ...\n" + forward("return Dropout()(x)"),
    "from flax import linen as nn\n" + forward("return nn.Dropout(0.5)(x)"),
]


@pytest.mark.parametrize("source", BAD)
def test_found(source):
    found, expected = marked(NAME, source)
    assert found == expected
    assert expected


@pytest.mark.parametrize("source", CLEAN)
def test_clean(source):
    assert marked(NAME, source) == ([], [])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("nn.Dropout(0.1)(x + 1)", "F.dropout(x + 1, 0.1, self.training)"),
        ("nn.Dropout()(x)", "F.dropout(x, 0.5, self.training)"),
        ("nn.Dropout2d(p=self.p)(x)", "F.dropout2d(x, self.p, self.training)"),
        ("nn.AlphaDropout(0.1)(x)", "F.alpha_dropout(x, 0.1, self.training)"),
        ("nn.Dropout(0.1, True)(x)", "F.dropout(x, 0.1, self.training, inplace=True)"),
        ("nn.Dropout(0.1)(nn.Dropout(0.2)(x))", None),
    ],
)
def test_fix(before, after):
    text, left = fixed(NAME, forward(f"return {before}"))
    assert left == ()
    inner = "F.dropout(F.dropout(x, 0.2, self.training), 0.1, self.training)"
    assert f"return {after or inner}\n" in text


@pytest.mark.parametrize(
    "body",
    [
        "return nn.Dropout(0.1)(*x)",
        "return nn.Dropout(0.1)((yield))",
        "return nn.Dropout(0.1)(\n    x  # a word\n)",
        "return nn.Dropout(**self.options)(x)",
        "return nn.Sequential(nn.Dropout(0.1))(x)",
        "drop = nn.Dropout(0.1)\nreturn drop(x)",
    ],
)
def test_no_fix_where_it_would_lose_something(body):
    source = forward(body)
    text, left = fixed(NAME, source, unsafe=True)
    assert text == source
    assert [finding.fix for finding in left] == [None]


def test_the_fix_uses_the_names_of_the_file():
    source = "import torch as T\nclass A(T.nn.Module):\n    def forward(self, x):\n"
    from torchdropout_audit.source import audit_text

    [finding] = audit_text(source + "        return T.nn.Dropout(0.1)(x)\n", rules={NAME})
    assert finding.fix.edits[0].text == "T.nn.functional.dropout(x, 0.1, self.training)"
    [finding] = audit_text(
        "from torch.nn import Dropout, Module\nclass A(Module):\n    def forward(self, x):\n"
        "        return Dropout(0.1)(x)\n",
        rules={NAME},
    )
    assert finding.fix is None


@pytest.mark.parametrize(("which", "drops"), [("broken", True), ("fixed", False)])
def test_what_torch_does(which, drops):
    scope = {}
    exec(getattr(RULES[NAME], which), scope)
    model = scope["Head"]().eval()
    assert bool((model(torch.ones(1000)) == 0).any()) is drops


@pytest.mark.parametrize(
    ("imports", "functional"),
    [
        ("from torch import nn\nimport torch.nn.functional as tf", "tf"),
        ("from torch import nn\nimport os, torch.nn.functional as tf", "tf"),
        ("from torch import nn\nimport torch.nn.functional", "nn.functional"),
        ("from torch import nn\nimport torch.nn as tnn", "nn.functional"),
        ("from torch import nn\nfrom torch.nn import functional as tf", "tf"),
        ("from torch import nn\nfrom torch.nn import Linear, functional", "functional"),
        ("from torch import nn\nfrom torch.nn import Linear", "nn.functional"),
        ("from torch import nn\nfrom other.nn import functional", "nn.functional"),
        ("from torch import nn\nfrom .torch.nn import functional", "nn.functional"),
        ("import torch as t\nnn = t.nn", "nn.functional"),
    ],
)
def test_the_fix_needs_no_new_import(imports, functional):
    head = f"{imports}\nclass A(nn.Module):\n    def forward(self, x):\n        return "
    done = fix_all(
        f"{head}nn.Dropout(0.5)(x)\n",
        lambda text: audit_text(text, "src/model.py", {NAME}),
        unsafe=True,
    )
    assert done.text == f"{head}{functional}.dropout(x, 0.5, self.training)\n"


def test_no_fix_without_a_name_for_the_functions():
    text = "from torch.nn import Dropout, Module\nclass A(Module):\n    def forward(self, x):\n"
    [finding] = audit_text(f"{text}        return Dropout(0.5)(x)\n", "src/model.py", {NAME})
    assert finding.fix is None
