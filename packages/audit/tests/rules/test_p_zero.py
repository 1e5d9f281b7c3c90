"""TD124: a rate of 0."""

import pytest

from _marks import marked

NAME = "p-zero"


@pytest.mark.parametrize(
    "source",
    [
        "nn.Dropout(0)  #?",
        "nn.Dropout(p=0.0, inplace=True)  #?",
        "F.dropout(x, 0.0, training=t)  #?",
        "nn.Sequential(nn.Linear(8, 8), nn.Dropout2d(0.))  #?",
        "from timm.layers import DropPath\nDropPath(0.)  #?",
        "class A:\n    def f(self):\n        self.p = 0.1\n        nn.Dropout(0)  #?",
    ],
)
def test_found(source):
    found, expected = marked(NAME, source)
    assert found == expected
    assert len(expected) == 1
    assert marked(NAME, source, "pkg/tests/layers.py")[0] == []


@pytest.mark.parametrize(
    "source",
    [
        "nn.Dropout()",
        "nn.Dropout(0.1)",
        "nn.Dropout(False)",
        "def f(p=0.0): return nn.Dropout(p)",
        "P = 0.0\nnn.Dropout(P)",
        "nn.LSTM(8, 8, 2, dropout=0)",
        "nn.MultiheadAttention(8, 2, 0.0)",
        "nn.TransformerEncoderLayer(8, 2, dropout=0.0)",
        "F.scaled_dot_product_attention(q, k, v, dropout_p=0.0)",
        "drop = nn.Dropout(0.0)\ndef schedule(step): drop.p = step / 10",
        "from keras.layers import Dropout\nDropout(0.0)",
    ],
)
def test_clean(source):
    assert marked(NAME, source) == ([], [])
