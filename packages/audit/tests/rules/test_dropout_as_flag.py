"""TD125: a flag given as p."""

import pytest
import torch
from torch import nn

from torchdropout_audit.source import audit_text

HEAD = """
from torch import nn
import torchdropout.nn as tdn
FLAG = True
"""


@pytest.mark.parametrize(
    ("line", "severity"),
    [
        ("nn.Dropout(True)", "error"),
        ("nn.Dropout(p=False)", "error"),
        ("nn.Dropout2d(True, inplace=True)", "error"),
        ("nn.FeatureAlphaDropout(FLAG)", "error"),
        ("tdn.Dropout(True)", "error"),
        ("def make(inplace): return nn.Dropout(inplace)", "advice"),
        ("def make(cfg): return nn.Dropout(cfg.inplace)", "advice"),
        ("def make(dropout: bool): return nn.Dropout(dropout)", "advice"),
        ("def make(dropout=False): return nn.Dropout(dropout)", "advice"),
    ],
)
def test_found(line, severity):
    (found,) = audit_text(HEAD + line, rules={"dropout-as-flag"})
    assert (found.line, found.severity) == (5, severity)


@pytest.mark.parametrize(
    "line",
    [
        "nn.Dropout(0.5, True)",
        "nn.Dropout(inplace=True)",
        "nn.Dropout(1)",
        "nn.ReLU(True)",
        "nn.Dropout(*args)",
        "nn.Dropout(**{'p': 0.5, 'inplace': True})",
        "nn.Dropout(**{name: True})",
        "def make(p, inplace): return nn.Dropout(p, inplace)",
        "def make(p: float = False): return nn.Dropout(p)",
        "def make(flag=True): return nn.Dropout(0.5 * flag)",
        "def make(flag=True):\n    flag = 0.5\n    return nn.Dropout(flag)",
        "class Dropout:\n    pass\nDropout(True)",
        "import keras\nkeras.layers.Dropout(True)",
    ],
)
def test_clean(line):
    assert audit_text(HEAD + line, rules={"dropout-as-flag"}) == []


def test_torch_takes_a_flag_for_a_rate():
    x = torch.ones(64)
    assert not nn.Dropout(True)(x).any()
    assert torch.equal(nn.Dropout(False)(x), x)


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("def make(p=False, on=True): return nn.Dropout(p) if on else None", True),
        ("def make(p=False, c=None): return nn.Dropout(p) if c.p else None", True),
        ("def make(p=False): return None if p else nn.Dropout(p)", True),
        ("def make(p=False): return nn.Dropout(p) if p else None", False),
        ("def make(p=False, on=True): return nn.Dropout(p) if on and p else None", False),
        ("def make(p=False):\n    if p:\n        return [nn.Dropout(p)]", False),
        ("def make(p=False):\n    if p:\n        pass\n    else:\n        nn.Dropout(p)", True),
        ("def make(p=False): return nn.Dropout(p)\nmake(True)", True),
        ("def make(p=False): return nn.Dropout(p)\nmake(0.1)", False),
        ("class A:\n    def __init__(self, p=False): nn.Dropout(p)\nA(False)", True),
        ("class A:\n    def __init__(self, p=False): nn.Dropout(p)\nA(0.1)", False),
        ("class A:\n    def make(self, p=False): nn.Dropout(p)\nA(0.1)", True),
        ("def make(p=False): return nn.Dropout(p)\ndef f(p): return p\nf(0.1)", True),
    ],
)
def test_a_default_of_false(line, is_found):
    found = audit_text(HEAD + line, rules={"dropout-as-flag"})
    assert [each.severity for each in found] == ["advice"] * is_found


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        (
            "nn.Dropout(True)",
            "p=True is p=1: it drops everything in training",
            "give p, then inplace=True",
        ),
        ("nn.Dropout(False)", "p=False is p=0: it drops nothing", "give p, then inplace=True"),
        (
            "def make(c): return nn.Dropout(c.in_place)",
            "c.in_place is a flag, and the first argument of a dropout is p: True drops everything",
            "p, then inplace=c.in_place",
        ),
        (
            "def make(on: bool): return nn.Dropout(on)",
            "on is a flag, and the first argument of a dropout is p: True drops everything",
            "give p a number",
        ),
    ],
)
def test_the_words_of_a_finding(line, message, hint):
    [found] = audit_text(HEAD + line, rules={"dropout-as-flag"})
    assert (found.message, found.hint) == (message, hint)
