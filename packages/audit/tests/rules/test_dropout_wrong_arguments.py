"""TD106: a call of a dropout that raises an error."""

import inspect
import re

import pytest
import torch
from torch import nn

from _marks import fixed, marked
from torchdropout_audit.registry import RULES
from torchdropout_audit.rules.dropout_wrong_arguments import _SIGNATURES
from torchdropout_audit.source import audit_text

NAME = "dropout-wrong-arguments"


def torch_object(name):
    found = torch
    for part in name.split(".")[1:]:
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("name", [n for n in _SIGNATURES if n.startswith("torch.nn.")])
def test_signatures_of_python(name):
    if name == "torch.nn.functional.scaled_dot_product_attention":
        pytest.skip("compiled: test_what_torch_raises")
    if name.rpartition(".")[2] in ("RNN", "LSTM", "GRU"):
        found = set(inspect.signature(nn.RNNBase).parameters) - {"mode"}
        own = {"nonlinearity"} if name == "torch.nn.RNN" else set()  # which pops it
        assert _SIGNATURES[name].all == found | own
        return
    found = inspect.signature(torch_object(name)).parameters.values()
    places = [p for p in found if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert _SIGNATURES[name].places == tuple(p.name for p in places)
    assert _SIGNATURES[name].needed == sum(p.default is p.empty for p in places)


CALLS = {
    "torch.dropout(x, 0.5)": True,
    "torch.dropout(x, p=0.5)": True,
    "torch.dropout(x, 0.5, training=True)": True,
    "torch.dropout(x)": True,
    "torch.dropout(0.5)": True,
    "torch.dropout(x, 0.5, True)": False,
    "torch.dropout(input=x, p=0.5, train=True)": False,
    "torch.dropout_(x, 0.5)": True,
    "torch.alpha_dropout(x, 0.5)": True,
    "torch.feature_dropout(x, 0.5, train=False)": False,
    "torch.feature_alpha_dropout(x, 0.5, training=False)": True,
    "F.dropout(x, rate=0.5, training=True)": True,
    "F.dropout(x, 0.5, True, False)": False,
    "F.dropout(x, 0.5, True, False, None)": True,
    "F.alpha_dropout(x, 0.5, train=True)": True,
    "F.dropout(p=0.5, training=True)": True,
    "nn.Dropout(rate=0.5)": True,
    "nn.Dropout(0.5, True)": False,
    "nn.Dropout(0.5, True, 1)": True,
    "nn.AlphaDropout(dropout=0.5)": True,
    "nn.LSTM(4, 4, 2, p=0.5)": True,
    "nn.LSTM(4, 4, 2, nonlinearity='tanh')": True,
    "nn.GRU(4, 4, 2, nonlinearity='tanh')": True,
    "nn.RNN(4, 4, 2, nonlinearity='tanh')": False,
    "nn.LSTM(4, 4, num_layers=2, dropout=0.5, proj_size=2)": False,
    "nn.GRU(4, 4, 2, dropout_rate=0.5)": True,
    "nn.MultiheadAttention(4, 2, dropout_p=0.5)": True,
    "nn.MultiheadAttention(4)": True,
    "nn.TransformerEncoderLayer(4, 2, drop_rate=0.5)": True,
    "nn.TransformerDecoderLayer(4, 2, 8, 0.5, batch_first=True)": False,
    "F.scaled_dot_product_attention(x, x, x, dropout=0.5)": True,
    "F.scaled_dot_product_attention(x, x, x, p=0.5)": True,
    "F.scaled_dot_product_attention(x, x, x, None, 0.0, True, scale=1.0, enable_gqa=False)": False,
    "F.scaled_dot_product_attention(x, x)": True,
}


@pytest.mark.parametrize("call", CALLS)
def test_what_torch_raises(call):
    scope = {"torch": torch, "nn": nn, "F": nn.functional, "x": torch.ones(1, 2, 4)}
    if CALLS[call]:
        with pytest.raises(TypeError):
            eval(call, scope)
        assert marked(NAME, f"{call}  #!")[0] == [(5, "error")]
    else:
        eval(call, scope)
        assert marked(NAME, call)[0] == []


MODULES_AS_RATES = (
    "torch.dropout(x, drop, True)",
    "F.dropout(x, drop, False)",
    "F.alpha_dropout(x, drop)",
    "nn.Dropout(drop)",
    "nn.GRU(4, 4, 1, dropout=drop)",
    "nn.LSTM(4, 4, 2, dropout=drop)",
    "nn.TransformerDecoderLayer(4, 2, 8, drop)",
    "F.scaled_dot_product_attention(x, x, x, dropout_p=drop)",
    "nn.MultiheadAttention(4, 2, drop)(x, x, x)",
)


@pytest.mark.parametrize("call", MODULES_AS_RATES)
def test_what_torch_raises_for_a_module_as_a_rate(call):
    scope = {"torch": torch, "nn": nn, "F": nn.functional, "x": torch.ones(1, 2, 4)}
    with pytest.raises((TypeError, ValueError)):
        eval(call, scope | {"drop": nn.Dropout(0.5)})
    source = f"def f(x):\n    drop = nn.Dropout(0.5)\n    return {call}"
    assert marked(NAME, f"{source}  #!")[0] == [(7, "error")]
    text, left = fixed(NAME, source)
    assert "drop.p" in text
    assert left == ()
    built = re.sub(r"\bdrop\b", "nn.Dropout(0.5)", call)
    assert marked(NAME, f"{built}  #!")[0] == [(5, "error")]
    text, [finding] = fixed(NAME, built)
    assert (text, finding.fix) == (built, None)


HEAD = "class A(nn.Module):\n    def forward(self, x):\n        return "


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("torch.dropout(x, 0.1)", "torch.dropout(x, 0.1, train=self.training)"),
        ("torch.dropout(x, 0.1, training=t)", "torch.dropout(x, 0.1, train=t)"),
        ("F.dropout(x, 0.1, train=t)", "F.dropout(x, 0.1, training=t)"),
        ("F.dropout(x, rate=0.1, training=t)", "F.dropout(x, p=0.1, training=t)"),
        ("torch.alpha_dropout(x, 0.1, training=t)", "torch.alpha_dropout(x, 0.1, train=t)"),
        ("nn.Dropout(dropout_rate=0.1)(x)", "nn.Dropout(p=0.1)(x)"),
        ("nn.LSTM(4, 4, 2, p=0.1)(x)", "nn.LSTM(4, 4, 2, dropout=0.1)(x)"),
        ("F.scaled_dot_product_attention(x, x, x, dropout=t)",)
        + ("F.scaled_dot_product_attention(x, x, x, dropout_p=t)",),
    ],
)
def test_fix(before, after):
    text, left = fixed(NAME, HEAD + before + "\n")
    assert text == HEAD + after + "\n"
    assert left == ()


@pytest.mark.parametrize(
    "source",
    [
        "torch.dropout(x)",
        "torch.dropout(x, 0.1)",
        "nn.Dropout(0.1, rate=0.2)",
        "F.dropout(x, name='a')",
        "F.dropout(*x, rate=0.1)",
        "nn.Dropout(rate=0.1, **x)",
        "torch.alpha_dropout(x, 0.1, True, training=True)",
        "torch.alpha_dropout(x, 0.1, train=True, training=True)",
        "torch.alpha_dropout(*x, training=True)",
        "torch.alpha_dropout(x, 0.1, training=True, **x)",
        "nn.GRU(4, 4, 2, True, False, 0.1, p=0.2)",
    ],
)
def test_no_fix_where_it_is_less_sure(source):
    _, [finding] = fixed(NAME, source, unsafe=True)
    assert finding.fix is None


@pytest.mark.parametrize(("which", "raises"), [("broken", True), ("fixed", False)])
def test_what_torch_does(which, raises):
    scope = {}
    exec(getattr(RULES[NAME], which), scope)
    block = scope["Block"]()
    if raises:
        with pytest.raises(TypeError):
            block(torch.ones(1, 8))
    else:
        assert block(torch.ones(1, 8)).shape == (1, 8)


def test_a_keyword_that_is_repeated_is_not_renamed():
    found = audit_text("from torch import nn\nnn.LSTM(8, 8, p=0.2, p=0.1)\n")
    assert [(f.name, f.fix) for f in found] == [(NAME, None)]


def applied(call, more="pass", rest="", bases="nn.Module"):
    """A Module that applies its dropout."""
    return f"""
class A({bases}):
    def __init__(self, p, other):
        super().__init__()
        self.drop = nn.Dropout(p)
        {more}
    def forward(self, x, y):
        {call}
{rest}
"""


SUB = "class B(A):\n    def __init__(self, p):\n        self.drop = "


@pytest.mark.parametrize(
    "source",
    [
        applied("return self.drop(x, y)  #!"),
        applied("return self.drop()  #!"),
        applied("return self.drop(x, training=True)  #!"),
        applied("return self.drop(input=x, p=1)  #!"),
        applied("return self.drop(x, input=x)  #!"),
        applied("self.drop = self.drop(x, y)  #!"),
        applied("return self.drop(x, y)  #!", more="self.drop = nn.Dropout2d(p)"),
        applied("return self.drop(x, y)  #!", rest=SUB + "nn.Dropout2d(p)"),
    ],
)
def test_a_module_that_is_applied_to_more(source):
    found, expected = marked(NAME, source)
    assert found == expected
    assert len(expected) == 1


@pytest.mark.parametrize(
    "source",
    [
        applied("return self.drop(x)"),
        applied("return self.drop(input=x)"),
        applied("return self.drop(*x)"),
        applied("return self.drop(x, *y)"),
        applied("return self.drop(x, **y)"),
        applied("return x.drop(x, y)"),
        applied("return self.x.drop(x, y)"),
        applied("return self.other(x, y)"),
        applied("return self.drop(x, y)", more="self.drop = other"),
        applied("return self.drop(x, y)", more="self.drop = nn.LSTM(8, 8)"),
        applied("self.drop = self.drop(x, y)\n        self.drop = other()"),
        applied("return self.drop(x, y)", rest="    def drop(self, x, y):\n        return x"),
        applied("return self.drop(x, y)", rest=SUB + "nn.LSTM(8, 8)"),
        applied("return self.drop(x, y)", bases="Elsewhere"),
        applied("return x") + "class B:\n    def f(self, x):\n        return self.drop(x, x)\n",
        "def f(self, x): return self.drop(x, x)",
    ],
)
def test_a_module_that_may_be_applied_so(source):
    assert marked(NAME, source) == ([], [])


@pytest.mark.parametrize(
    ("call", "raises"),
    [
        ("F.dropout(x, drop)", "the call raises an error"),
        ("nn.Dropout(drop)", "the call raises an error"),
        ("nn.MultiheadAttention(4, 2, drop)", "its forward raises an error"),
    ],
)
def test_the_message_says_when_a_module_as_a_rate_raises(call, raises):
    text = "import torch.nn.functional as F\nfrom torch import nn\n"
    source = f"{text}def f(x):\n    drop = nn.Dropout(0.5)\n    return {call}"
    [finding] = audit_text(source, "src/model.py", {NAME})
    assert finding.message.startswith("drop is a dropout module, and ")
    assert finding.message.endswith(f": {raises}")


def test_the_two_nearest_parameters_are_named_and_not_all():
    [found] = audit_text("from torch import nn\nnn.LSTM(8, 8, layers=2)\n", rules={NAME})
    assert found.hint == "it has num_layers and bias"
