"""TD123: a rate of 1."""

import pytest
import torch

from _marks import marked
from torchdropout_audit.registry import RULES

NAME = "p-one"


@pytest.mark.parametrize(
    "source",
    [
        "nn.Dropout(1)  #?",
        "nn.Dropout(p=1.0)  #?",
        "F.dropout(x, 1.0, training=t)  #?",
        "nn.GRU(8, 8, 2, dropout=1)  #?",
        "F.scaled_dot_product_attention(q, k, v, dropout_p=1.0)  #?",
    ],
)
def test_found(source):
    found, expected = marked(NAME, source)
    assert found == expected
    assert len(expected) == 1
    assert marked(NAME, source, "tests/test_rates.py")[0] == []


@pytest.mark.parametrize(
    "source",
    [
        "nn.Dropout(0.1)",
        "nn.Dropout(True)",
        "nn.Dropout(p)",
        "def f(p=1.0): return nn.Dropout(p)",
        "nn.Dropout(0.5, 1)",
        "with pytest.raises(ValueError):\n    nn.Dropout(1.0)",
        "from keras.layers import Dropout\nDropout(1.0)",
    ],
)
def test_clean(source):
    assert marked(NAME, source) == ([], [])


@pytest.mark.parametrize(("which", "left"), [("broken", False), ("fixed", True)])
def test_what_torch_does(which, left):
    scope = {}
    exec(getattr(RULES[NAME], which), scope)
    assert bool(scope["drop"](torch.ones(1000)).any()) is left
