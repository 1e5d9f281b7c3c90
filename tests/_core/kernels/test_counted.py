"""A fixed count of places: where the compiled kernels choose them, and by the definition."""

from types import SimpleNamespace

import pytest
import torch

from torchdropout import Key
from torchdropout._core.contract.noise import DOMAIN_ORDER, word
from torchdropout._core.kernels import counted, cpu

KEY = Key(2**63 + 5, 2**59 + 6)
CPU = torch.device("cpu")


@pytest.fixture
def compiled(monkeypatch):
    """Stands for the compiled kernels, and notes what they are called with."""
    calls = []

    def kernel(*args):
        calls.append(args)
        return NotImplemented

    monkeypatch.setattr(cpu, "extension", SimpleNamespace(choose=kernel, counted=kernel))
    return calls


def defined(index, kept, ordered, key=KEY):
    """The places of the smallest words, in their order or in that of the places."""
    words = [(word(key.seed, key.stream, DOMAIN_ORDER, i % 2**64), i) for i in index]
    places = sorted(range(len(index)), key=words.__getitem__)[:kept]
    return sorted(places) if ordered else places


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(
    ("shape", "kept", "base", "strides", "is_compiled"),
    [
        ((3, 5), 2, 7, [5, 1], True),
        ((1, 1), 1, 7, [1, 1], True),
        ((3, 5), 5, -8, [5, 1], True),
        ((3, 5), 0, 7, [5, 1], False),
        ((3, 5), 2, 7, [9, 1], False),
        ((3, 5), 2, 7, [5, 2], False),
        ((3, 5), 2, 70, [5, -1], False),
        ((1, 1), 1, 7, [2, 3], False),
    ],
)
def test_chosen(compiled, shape, kept, base, strides, is_compiled, ordered):
    places = counted.choose(KEY.tensor(), shape, kept, ordered, base, strides, CPU)
    expected = [
        defined([base + n * strides[0] + i * strides[1] for i in range(shape[1])], kept, ordered)
        for n in range(shape[0])
    ]
    assert places.dtype == torch.int64
    assert places.tolist() == expected
    assert [call[1:] for call in compiled] == (
        [(*KEY.tensor().tolist(), DOMAIN_ORDER, base, shape[1], ordered)] if is_compiled else []
    )


@pytest.mark.parametrize(("size", "fits"), [(2**31 - 1, True), (2**31, False), (2**32, False)])
def test_a_place_has_31_bits(compiled, size, fits):
    assert not counted._chosen(torch.empty(1, 1), KEY.tensor(), size, False, 0)
    assert len(compiled) == fits


@pytest.mark.parametrize(
    ("x", "kept", "group", "dim", "strides", "is_compiled"),
    [
        ((2, 8), 2, 4, -1, [8, 1], True),
        ((2, 64), 1, 64, -1, [64, 1], True),
        ((2, 64), 63, 64, -1, [64, 1], True),
        ((2, 65), 1, 65, -1, [65, 1], False),
        ((2, 8), 0, 4, -1, [8, 1], False),
        ((2, 8), 4, 4, -1, [8, 1], False),
        ((8, 2), 2, 4, -2, [2, 1], False),
        ((2, 8), 2, 4, -1, [9, 1], False),
    ],
)
def test_kept(compiled, x, kept, group, dim, strides, is_compiled):
    x = torch.ones(x)
    y = counted.counted_affine(x, KEY.tensor(), kept, group, dim, 2.5, 7, strides)
    assert y.unique().tolist() == ([2.5] if kept == group else [0.0, 2.5] if kept else [0.0])
    counts = (y != 0).unflatten(dim, (-1, group)).sum(dim)
    assert (counts == kept).all()
    own = (*KEY.tensor().tolist(), DOMAIN_ORDER, 7, group, kept, 2.5)
    assert [call[1:] for call in compiled] == ([own] if is_compiled else [])


@pytest.mark.parametrize("chunk", [1, 12, 10**6])
@pytest.mark.parametrize(
    ("shape", "group", "kept", "dim", "strides"),
    [
        ((4, 6), 3, 2, -1, [6, 1]),
        ((4, 6), 2, 1, -2, [6, 1]),
        ((1, 6), 3, 1, -1, [9, 1]),
        ((1, 6, 1), 2, 1, -2, [6, 1, 5]),
        ((4, 6), 6, 4, -1, [-6, -1]),
        ((2, 40), 20, 7, -1, [1, 2]),
    ],
)
@pytest.mark.parametrize("keys", [1, 3])
def test_parts_are_chosen_from_as_the_whole(
    monkeypatch, keys, shape, group, kept, dim, strides, chunk
):
    """And each has whole groups, and no more elements than work is done on at a time."""
    monkeypatch.setattr(cpu, "extension", None)
    monkeypatch.setattr(counted, "most", lambda device: chunk)
    sizes, words = [], counted._words

    def noted(keys, *rest):
        sizes.append(len(keys) * torch.Size(rest[0]).numel())
        return words(keys, *rest)

    monkeypatch.setattr(counted, "_words", noted)
    each = [KEY, Key(3), Key(4)][:keys]
    key = KEY.tensor() if keys == 1 else torch.stack([one.tensor() for one in each])
    x = torch.ones(shape if keys == 1 else (keys, *shape))
    y = counted.counted_affine(x, key, kept, group, dim, 1.0, 70, strides)
    assert max(sizes) <= max(chunk, group)
    steps = [torch.arange(n) * stride for n, stride in zip(shape, strides, strict=True)]
    index = 70 + sum(torch.meshgrid(*steps, indexing="ij")).movedim(dim, -1).reshape(-1, group)
    chosen = y.view(keys, *shape).movedim(dim, -1).reshape(keys, -1, group)
    for one, of_key in zip(each, chosen, strict=True):
        for places, found in zip(index.tolist(), of_key, strict=True):
            assert found.nonzero().flatten().tolist() == defined(places, kept, True, one)
