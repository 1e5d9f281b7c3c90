"""TD131: the dropout of an RNN with one layer."""

import warnings

import pytest

from _marks import marked
from torchdropout_audit.registry import RULES

NAME = "rnn-dropout-without-effect"
BAD = [
    "nn.LSTM(8, 8, dropout=0.5)  #!",
    "nn.GRU(8, 8, num_layers=1, dropout=0.5, bidirectional=True)  #!",
    "nn.RNN(8, 8, 1, 'tanh', True, False, 0.5)  #!",
    "nn.LSTM(8, 8, 1, True, False, 0.5)  #!",
    "P, LAYERS = 0.5, 1\nnn.LSTM(8, 8, LAYERS, dropout=P)  #!",
    "def f(p=0.2): return nn.LSTM(8, 8, dropout=p)  #!",
    "class A(nn.Module):\n    def __init__(self, p=0.2):\n        self.p = p\n"
    "        self.rnn = nn.LSTM(8, 8, dropout=self.p)  #!",
]
ADVICE = [
    "def f(n=1): return nn.LSTM(8, 8, n, dropout=0.5)  #?",
    "def f(n=1, p=0.5): return nn.LSTM(8, 8, num_layers=n, dropout=p)  #?",
    "class A(nn.Module):\n    def __init__(self, n=1, p=0.5):\n        self.n = n\n"
    "        self.rnn = nn.LSTM(8, 8, n, dropout=p)  #?",
    "def f(p): return nn.LSTM(8, 8, dropout=p)  #?",
    "def f(p=0.0): return nn.LSTM(8, 8, 1, dropout=p)  #?",
    "def f(cfg): return nn.GRU(8, 8, dropout=cfg.dropout)  #?",
    "def f(cfg): return nn.GRU(8, 8, dropout=cfg['dropout'])  #?",
]
CLEAN = [
    "nn.LSTM(8, 8, 2, dropout=0.5)",
    "nn.LSTM(8, 8, num_layers=n, dropout=0.5)",
    "def f(n): return nn.LSTM(8, 8, n, dropout=0.5)",
    "def f(n=2): return nn.LSTM(8, 8, n, dropout=0.5)",
    "def f(n=1, p=0.0): return nn.LSTM(8, 8, n, dropout=p)",
    "def f(p, n=1): return nn.LSTM(8, 8, n, dropout=p)",
    "def f(n=1):\n    if n > 1: return nn.LSTM(8, 8, n, dropout=0.5)",
    "def f(n=1): return nn.LSTM(8, 8, n, dropout=0.5)\nf(3)",
    "class A(nn.Module):\n    def __init__(self, n=1):\n"
    "        self.rnn = nn.LSTM(8, 8, n, dropout=0.5)\nA(3)",
    "def f(n=1): return nn.LSTM(8, 8, n, dropout=0.5 * (n > 1))",
    "nn.LSTM(8, 8, **options, dropout=0.5)",
    "nn.LSTM(*sizes, dropout=0.5)",
    "nn.LSTM(8, 8)",
    "nn.LSTM(8, 8, dropout=0)",
    "nn.LSTM(8, 8, dropout=0.0)",
    "def f(p, n): return nn.LSTM(8, 8, dropout=p if n > 1 else 0)",
    "def f(p, n):\n    q = p if n > 1 else 0\n    return nn.LSTM(8, 8, dropout=q)",
    "def f(p, n): return nn.LSTM(8, 8, dropout=p * (n > 1))",
    "nn.LSTMCell(8, 8)",
    "from keras.layers import LSTM\nLSTM(8, dropout=0.5)",
    "class LSTM(nn.Module): ...\nLSTM(8, dropout=0.5)",
    "def f(kind): return getattr(nn, kind)(8, 8, dropout=0.5)",
    "def f(rnn): return getattr(other, rnn)(8, 8, dropout=0.5)",
    "def f(k): return {'a': nn.LSTM, 'b': nn.Transformer}[k](8, 8, dropout=0.5)",
    "def f(k): cell = nn.LSTM if k else nn.Transformer; return cell(8, 8, dropout=0.5)",
    "def f(n, p, k): return nn.LSTM(8, 8, dropout=p - k)",
    "with pytest.warns(UserWarning):\n    nn.LSTM(8, 8, dropout=0.5)",
]


@pytest.mark.parametrize("source", BAD + ADVICE)
def test_found(source):
    found, expected = marked(NAME, source)
    assert found == expected
    assert len(expected) == 1


@pytest.mark.parametrize("source", CLEAN)
def test_clean(source):
    assert marked(NAME, source) == ([], [])


@pytest.mark.parametrize("source", ADVICE)
def test_no_advice_in_tests(source):
    assert marked(NAME, source, "tests/test_rnn.py")[0] == []


def test_what_torch_says():
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        exec(RULES[NAME].broken, {})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(RULES[NAME].fixed, {})
