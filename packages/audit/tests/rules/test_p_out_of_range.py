"""TD122: a rate that is not a probability."""

import pytest
import torch
from torch import nn

from _marks import HEAD, marked
from torchdropout_audit.registry import RULES
from torchdropout_audit.source import audit_text

NAME = "p-out-of-range"
BAD = [
    "nn.Dropout(1.5)  #!",
    "nn.Dropout(50)  #!",
    "nn.Dropout2d(p=-0.1)  #!",
    "nn.FeatureAlphaDropout(2)  #!",
    "P = 1.5\nnn.Dropout(P)  #!",
    "nn.Dropout(20 / 10)  #!",
    "F.dropout(x, 5, training=t)  #!",
    "F.alpha_dropout(x, p=-1)  #!",
    "torch.dropout(x, 1.1, True)  #!",
    "nn.LSTM(8, 8, 2, dropout=20)  #!",
    "nn.MultiheadAttention(8, 2, 1.5)  #!",
    "nn.TransformerEncoderLayer(8, 2, dropout=10)  #!",
    "nn.Transformer(dropout=10)  #!",
    "F.scaled_dot_product_attention(q, k, v, None, 1.5)  #!",
    "from torchvision.ops import StochasticDepth\nStochasticDepth(20, 'row')  #!",
    "from timm.models.layers import DropPath\nDropPath(drop_prob=1.2)  #!",
    "from torchdropout.nn import Dropout\nDropout(2)  #!",
    "nn.Dropout(float('nan'))  #!",
    "nn.Dropout(float('-inf'))  #!",
    "import math\nnn.Dropout(math.nan)  #!",
    "import numpy as np\nnn.Dropout(np.inf)  #!",
    "def f(p=1.5): return nn.Dropout(p)  #?",
    "@dataclass\nclass C:\n    p: int = 2\ndef f(c=C()): return nn.Dropout(c.p)  #?",
    "class A(nn.Module):\n    p = 3\n    def f(self):\n        return nn.Dropout(self.p)  #!",
]
CLEAN = [
    "nn.Dropout()",
    "nn.Dropout(0)",
    "nn.Dropout(1)",
    "nn.Dropout(1.0)",
    "nn.Dropout(1e-3)",
    "nn.Dropout(True)",
    "nn.Dropout('2')",
    "nn.Dropout(50 / 100)",
    "nn.Dropout(p)",
    "def f(p=-1.0): return nn.Dropout(p)",
    "def f(p=1): return nn.Dropout(p)",
    "@dataclass\nclass C:\n    p: int = 2\ndef f(c=D()): return nn.Dropout(c.p)",
    "@dataclass\nclass C:\n    p: int = 2\nnn.Dropout(c.p)",
    "@dataclass\nclass C:\n    p: int = 2\ndef f(c=C()): return nn.Dropout(c.d.p)",
    "p = 2\np = 0.5\nnn.Dropout(p)",
    "p = 2\np /= 10\nnn.Dropout(p)",
    "nn.Dropout(*[2])",
    "nn.Dropout(float(text))",
    "nn.Dropout(float('0.5'))",
    "nn.Dropout(float('abc'))",  # raises, whatever the rate
    "nn.Dropout(float(None))",
    "nn.LSTM(8, 8, 2)",
    "nn.MultiheadAttention(8, 2)",
    "with pytest.raises(ValueError):\n    nn.Dropout(2)",
    "with self.assertRaisesRegex(ValueError, 'p'):\n    nn.Dropout(2)",
    "self.assertRaises(ValueError, lambda: nn.Dropout(2))",
    "try:\n    nn.Dropout(2)\nexcept ValueError:\n    pass",
    "from keras.layers import Dropout\nDropout(2)",
    "class Dropout: ...\nDropout(2)",
    "def float(x): return 0.5\nnn.Dropout(float('2'))",
]


@pytest.mark.parametrize("source", BAD)
def test_found(source):
    found, expected = marked(NAME, source)
    assert found == expected
    assert len(expected) == 1


@pytest.mark.parametrize("source", CLEAN)
def test_clean(source):
    assert marked(NAME, source) == ([], [])


def test_a_call_after_the_try_is_not_expected_to_raise():
    found, expected = marked(NAME, "try:\n    run()\nfinally:\n    nn.Dropout(2)  #!")
    assert found == expected
    found, expected = marked(NAME, "try:\n    run()\nexcept E:\n    nn.Dropout(2)  #!")
    assert found == expected


@pytest.mark.parametrize(
    ("p", "hint"),
    [("20", "20 % is 0.2"), ("1.5", "use a number in [0, 1]"), ("-1", "use a number in [0, 1]")],
)
def test_hint(p, hint):
    [finding] = audit_text(f"{HEAD}nn.Dropout({p})", rules={NAME})
    assert finding.hint == hint


@pytest.mark.parametrize(
    ("source", "said"),
    [("nn.Dropout(1.5)", "1.5"), ("def f(p=1.5): nn.Dropout(p)", "1.5 by default")],
)
def test_message(source, said):
    [finding] = audit_text(HEAD + source, rules={NAME})
    assert finding.message == f"p is a probability, in [0, 1]; this is {said}"


def test_what_torch_does():
    with pytest.raises(ValueError, match="between 0 and 1"):
        exec(RULES[NAME].broken, {})
    exec(RULES[NAME].fixed, {})
    # Neither raises when it is built.
    assert torch.isnan(torch.tensor(nn.Dropout(float("nan")).p))
    assert nn.MultiheadAttention(8, 2, dropout=1.5).dropout == 1.5


@pytest.mark.parametrize(
    ("rate", "hint"),
    [
        ("2", "2 % is 0.02"),
        ("20.0", "20 % is 0.2"),
        ("100", "100 % is 1"),
        ("101", "use a number in [0, 1]"),
        ("1.5", "use a number in [0, 1]"),
        ("-1", "use a number in [0, 1]"),
    ],
)
def test_a_percentage(rate, hint):
    [finding] = audit_text(f"{HEAD}nn.Dropout({rate})", "src/model.py", {NAME})
    assert finding.hint == hint
