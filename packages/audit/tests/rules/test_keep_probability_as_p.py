"""TD121: the probability to keep, given as the probability to drop."""

import pytest
import torch

from _marks import fixed, marked
from torchdropout_audit.registry import RULES
from torchdropout_audit.source import audit_text

NAME = "keep-probability-as-p"
BAD = [
    "def f(keep_prob): return nn.Dropout(keep_prob)  #!",
    "def f(keep_prob=0.9): return nn.Dropout(p=keep_prob)  #!",
    "def f(x, keep_rate): return F.dropout(x, keep_rate, True)  #!",
    "def f(x, keepProb): return F.dropout2d(x, p=keepProb)  #!",
    "def f(cfg): return nn.AlphaDropout(cfg.dropout_keep_prob)  #!",
    "def f(cfg): return nn.Dropout(cfg['keep_prob'])  #!",
    "def f(cfg): return nn.Dropout(cfg.get('keep_prob'))  #!",
    "def f(cfg): return nn.Dropout(cfg.pop('keep_prob', 0.9))  #!",
    "def f(survival_prob): return nn.Dropout(survival_prob)  #!",
    "def f(p_keep): return nn.LSTM(8, 8, 2, dropout=p_keep)  #!",
    "def f(keep_p): return nn.MultiheadAttention(8, 2, keep_p)  #!",
    "def f(q, keep_prob): return F.scaled_dot_product_attention(q, q, q, dropout_p=keep_prob)  #!",
    "from torchvision.ops import StochasticDepth\n"
    "def f(survival_rate): return StochasticDepth(p=survival_rate, mode='row')  #!",
    "from timm.layers import DropPath\ndef f(keep_prob): return DropPath(keep_prob)  #!",
    "KEEP_PROB = 0.8\ndrop = nn.Dropout(KEEP_PROB)  #!",
    "keep_prob = 1 - dropout\ndrop = nn.Dropout(keep_prob)  #!",
    """
    class A(nn.Module):
        def __init__(self, keep_prob=0.8):
            self.keep_prob = keep_prob
        def forward(self, x):
            return F.dropout(x, self.keep_prob, self.training)  #!
    """,
]
ADVICE = [
    "def f(keep_prob=0.1): return nn.Dropout(keep_prob)  #?",
    "keep_prob = 0.0\ndrop = nn.Dropout(keep_prob)  #?",
    """
    class A(nn.Module):
        def __init__(self, keep_prob=0.2):
            self.keep_prob = keep_prob
            self.drop = nn.Dropout(self.keep_prob)  #?
    """,
    "def f(dropout): return nn.Dropout(1 - dropout)  #?",
    "def f(cfg): return nn.Dropout(1.0 - cfg.drop_rate)  #?",
    "def f(keep_dropout): return nn.Dropout(keep_dropout)  #?",
    "def f(dropout):\n    p = 1 - dropout\n    return nn.Dropout(p)  #?",
    "def f(keep_prob): return Block(8, dropout=keep_prob)  #?",
    "def block(x, drop_rate): ...\ndef f(x, keep_prob): return block(x, keep_prob)  #?",
    """
    class Block(nn.Module):
        def __init__(self, size, drop_rate): ...
    def f(keep_prob): return Block(8, keep_prob)  #?
    """,
]
CLEAN = [
    "def block(x, keep_prob, drop_rate): ...\ndef f(x, keep, p): return block(x, keep, p)",
    "def f(keep_prob): return nn.Dropout(1 - keep_prob)",
    "def f(keep_prob): return nn.Dropout(1.0 - keep_prob)",
    "def f(dropout_keep_prob): return nn.Dropout(1 - dropout_keep_prob)",
    "def f(keep_prob):\n    keep_prob = 1 - keep_prob\n    return nn.Dropout(keep_prob)",
    "def f(keep_prob):\n    p = 1 - keep_prob\n    return nn.Dropout(p)",
    "def f(drop_rate):\n    keep_prob = drop_rate\n    return nn.Dropout(keep_prob)",
    """
    class A(nn.Module):
        def __init__(self, keep_prob):
            self.keep_prob = 1 - keep_prob
            self.drop = nn.Dropout(self.keep_prob)
    """,
    "def f(p, keep): return nn.Dropout(p, keep)",
    "def f(bookkeeping): return nn.Dropout(bookkeeping)",
    "def f(keeper_rate): return nn.Dropout(keeper_rate)",
    "def f(drop_prob, scale_by_keep): return DropPath(drop_prob, scale_by_keep)",
    "def dropout(x, keep_prob): ...\ndef f(x, keep_prob): return dropout(x, keep_prob)",
    "import tensorflow as tf\ndef f(x, keep_prob): return tf.nn.dropout(x, keep_prob)",
    "from mindspore import nn\ndef f(keep_prob): return nn.Dropout(keep_prob)",
    "def f(keep_prob): return nn.Dropout(*keep_prob)",
    "def f(keep_prob): return nn.Dropout(to_drop(keep_prob))",
    "def f(cfg): return nn.Dropout(cfg.without('keep_prob'))",
    "def f(cfg): return nn.Dropout(cfg.get())",
    "def f(cfg): return nn.Dropout(cfg[0])",
    "def f(dropout): return nn.Dropout(1 - dropout / 2)",
]


@pytest.mark.parametrize("source", BAD + ADVICE)
def test_found(source):
    found, expected = marked(NAME, source)
    assert found == expected
    assert len(expected) == 1


@pytest.mark.parametrize("source", CLEAN)
def test_clean(source):
    assert marked(NAME, source) == ([], [])


@pytest.mark.parametrize("given", ["keep_prob", "p=keep_prob", "(keep_prob)", "cfg.keep_prob"])
def test_fix(given):
    source = f"def f(keep_prob, cfg):\n    return nn.Dropout({given})\n"
    assert fixed(NAME, source)[0] == source  # trained models go on with another rate
    text, left = fixed(NAME, source, unsafe=True)
    place = given.index("cfg" if "cfg" in given else "keep")
    assert f"nn.Dropout({given[:place]}1 - {given[place:]})" in text
    assert left == ()


@pytest.mark.parametrize("source", [*ADVICE, "def f(cfg): return nn.Dropout(cfg['keep_prob'])"])
def test_no_fix_where_it_is_less_sure(source):
    _, [finding] = fixed(NAME, source, unsafe=True)
    assert finding.fix is None


def test_the_message_is_one_line():
    [finding] = audit_text(
        "from torch import nn\ndef f(cfg):\n    nn.Dropout(cfg[\n        'keep_prob'])",
        rules={NAME},
    )
    assert finding.message.startswith("cfg[ 'keep_prob'] is named as a probability to keep")


@pytest.mark.parametrize(("which", "rate"), [("broken", 0.9), ("fixed", 0.1)])
def test_what_torch_does(which, rate):
    scope = {}
    exec(getattr(RULES[NAME], which), scope)
    dropped = (scope["head"](0.9)[0](torch.ones(100_000)) == 0).double().mean()
    assert abs(dropped - rate) < 0.01  # 10 sigma
