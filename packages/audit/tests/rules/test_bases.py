"""Bases of a class from other files."""

import pytest

from torchdropout_audit.code import Code
from torchdropout_audit.rules._bases import (
    bases_of_project,
    has_bases_of_torch,
    has_plain_bases,
    is_stub,
)

HEAD = """
import abc, typing, lightning, timm
from torch import nn
from transformers import BertPreTrainedModel
class Own(nn.Module): pass
class OwnCell(nn.LSTM): pass
"""


@pytest.mark.parametrize(
    ("bases", "is_plain", "is_of_torch"),
    [
        ("nn.Module", True, False),
        ("nn.ModuleList", True, False),
        ("nn.Module, abc.ABC", True, False),
        ("nn.Module, typing.Generic[int]", True, False),
        ("nn.Module, object", True, False),
        ("lightning.LightningModule", True, False),
        ("BertPreTrainedModel", True, False),
        ("Own", True, False),
        ("nn.LSTM", False, True),
        ("nn.LSTM, abc.ABC", False, True),
        ("abc.ABC, nn.LSTM", False, True),
        ("OwnCell", False, True),
        ("nn.Module, timm.Block", False, False),
        ("nn.Module, Unknown", False, False),
        ("timm.Block", False, False),
        ("object", False, False),
    ],
)
def test_bases(bases, is_plain, is_of_torch):
    code = Code(f"{HEAD}class A({bases}): pass\n")
    cls = code.classes[-1]
    assert has_plain_bases(code, cls) is is_plain
    assert has_bases_of_torch(code, cls) is is_of_torch
    # Without the other files of the project no other base is known.
    assert bases_of_project(code, cls) == ([] if is_plain or bases == "object" else None)


@pytest.mark.parametrize(
    ("body", "is_it"),
    [
        ("pass", True),
        ("...", True),
        ("'''What it does.'''", True),
        ("raise NotImplementedError", True),
        ("'''What it does.'''; pass", True),
        ("pass; x = 1", False),
        ("return", False),
        ("f()", False),
    ],
)
def test_placeholders(body, is_it):
    (function,) = Code(f"def f(): {body}\n").functions
    assert is_stub(function.node.body) is is_it
