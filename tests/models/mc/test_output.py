"""Which tensor of an output is taken."""

from collections import OrderedDict, namedtuple
from types import SimpleNamespace

import pytest
import torch

from torchdropout.models.mc import select_output

A, B = torch.zeros(2), torch.ones(2)
Pair = namedtuple("Pair", ["mean", "other"])


@pytest.mark.parametrize(
    ("output", "selector", "found"),
    [
        (A, None, A),
        ((A, B), 1, B),
        ([A, B], -2, A),
        ({"a": A, "b": B}, "b", B),
        (OrderedDict(logits=A, loss=None), "logits", A),
        (Pair(A, B), "other", B),
        (SimpleNamespace(logits=B), "logits", B),
        (OrderedDict(logits=A, loss=None), None, A),
        (SimpleNamespace(logits=B, cache=SimpleNamespace(layers=[])), None, B),
        ((B,), None, B),
        ({"a": {"b": B}}, lambda output: output["a"]["b"], B),
    ],
)
def test_selected(output, selector, found):
    assert select_output(output, selector) is found


@pytest.mark.parametrize(
    ("output", "selector", "error", "words"),
    [
        ((A, B), None, TypeError, r"tensor of the model's tuple of 2 items .*output=0\)"),
        ({"a": A, "b": B}, None, TypeError, r"model's dict with 'a', 'b' .*output='a'\)"),
        ({"loss": A.sum(), "b": B}, None, TypeError, r"dict with .* \(for example output='b'\)"),
        (Pair(A, B), None, TypeError, r"model's Pair with 'mean', 'other' .*output='mean'\)"),
        (SimpleNamespace(a=None, b=B, c=A), None, TypeError, r"SimpleNamespace .*output='b'\)"),
        ({"a": [A, B]}, None, TypeError, r"model's dict with 'a', got output=None"),
        ((), None, TypeError, "model's tuple of 0 items, got output=None"),
        ((A, B), 2, ValueError, "got output=2"),
        ((A, B), -3, ValueError, "got output=-3"),
        ({"a": A}, 0, TypeError, "dict with 'a'"),
        (A, 0, TypeError, "model's Tensor"),
        ({"a": A}, "items", ValueError, "got output='items'"),
        ((A, B), "mean", ValueError, "tuple of 2 items"),
        ({"a": None}, "a", TypeError, "'a' selects` to be a tensor"),
        ((A, B), 1.0, TypeError, r"got output=1.0 \(float\)"),
        ((A, B), True, TypeError, r"got output=True \(bool\)"),
    ],
)
def test_refused(output, selector, error, words):
    with pytest.raises(error, match=words):
        select_output(output, selector)
