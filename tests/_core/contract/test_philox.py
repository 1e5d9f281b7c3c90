"""Philox against Random123's known answers, in plain integers and in torch."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from torchdropout._core.contract import philox4x32, philox4x32_tensor
from vectors import PHILOX

word = st.integers(0, 2**32 - 1)


def test_random123_vectors():
    assert len(PHILOX) == 3
    for counter, key, words in PHILOX:
        assert philox4x32(counter, key) == words


@given(st.tuples(word, word, word, word), st.tuples(word, word))
def test_tensor_form_equals_the_integers(counter, key):
    as_tensors = philox4x32_tensor(
        tuple(torch.tensor([c]) for c in counter), tuple(torch.tensor([k]) for k in key)
    )
    assert tuple(t.item() for t in as_tensors) == philox4x32(counter, key)


@given(st.lists(st.tuples(word, word, word, word), min_size=1, max_size=5), st.tuples(word, word))
def test_many_counters_in_an_integer_are_many_calls(counters, key):
    lanes = [64 * i for i in range(len(counters))]
    packed = [
        sum(w << lane for w, lane in zip(ws, lanes, strict=True))
        for ws in zip(*counters, strict=True)
    ]
    words = philox4x32(tuple(packed), key, sum(1 << lane for lane in lanes))
    for counter, lane in zip(counters, lanes, strict=True):
        assert tuple(w >> lane & 2**64 - 1 for w in words) == philox4x32(counter, key)


def test_tensor_form_broadcasts():
    rows, columns = torch.arange(3)[:, None], torch.arange(4)
    zero = torch.zeros(1, dtype=torch.int64)
    words = philox4x32_tensor((columns, zero, zero, zero), (rows, zero))
    assert words[2].shape == (3, 4)
    assert words[2][1, 2].item() == philox4x32((2, 0, 0, 0), (1, 0))[2]
