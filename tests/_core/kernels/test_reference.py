"""Each backend against the plain-integer definition, bit for bit; the parts of the reference."""

import itertools
import math
import sys
from array import array

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle import dropout, mask, same_bits
from strategies import keys, layouts, probabilities, tensors
from torchdropout import Key, MaskLayout, backends
from torchdropout import functional as F
from torchdropout._core.contract import scale, threshold, uniform
from torchdropout._core.contract.keep import (
    DOMAIN_HIGH,
    DOMAIN_LOW,
    HALF_LOWER,
    PER_BLOCK,
    halves,
    words_tensor,
)
from torchdropout._core.contract.seed import as_int64
from torchdropout._core.kernels import _fill, _philox, reference
from torchdropout._core.kernels._fill import most
from torchdropout._core.kernels.reference import keep_bits
from vectors import KEEP

CPU = torch.device("cpu")
operator = torch.ops.torchdropout.masked_affine.default
each_backend = pytest.mark.parametrize("backend", backends.available())
CHUNK = PER_BLOCK * most(CPU, 2)  # mask indices worked on at a time


@pytest.mark.integration
@each_backend
def test_equals_the_definition(backend):
    """By the public function and by the operator, which are two ways in."""
    elements = 0

    @settings(max_examples=250)
    @given(st.data())
    def property_(data):
        nonlocal elements
        x = data.draw(tensors(max_side=8))
        p, key, layout = data.draw(probabilities), data.draw(keys), data.draw(layouts(x.shape))
        expected = dropout(x, p, key, layout)
        base = as_int64(layout.base)
        with backends.use(backend):
            y = F.dropout(x, p, key=key, layout=layout)
            z = operator(x, key.tensor(), p, scale(p), 0.0, 0.0, base, layout.strides)
        for got in (y, z):
            assert same_bits(got, expected)
            assert got.stride() == torch.empty_like(x).stride()
        elements += x.numel()

    property_()
    assert elements > 2000


@each_backend
def test_equals_the_definition_with_many_keys(backend):
    """The keys in the leading dimensions: each has a mask of its own over those behind."""

    @settings(max_examples=30)
    @given(st.data())
    def property_(data):
        x = data.draw(tensors(min_dims=1, max_side=4))
        lead = data.draw(st.integers(1, x.ndim))
        p, layout = data.draw(probabilities), data.draw(layouts(x.shape[lead:]))
        drawn = [data.draw(keys) for _ in range(math.prod(x.shape[:lead]))]
        numbers = torch.tensor([[as_int64(k.seed), k.stream] for k in drawn], dtype=torch.int64)
        key = numbers.reshape(*x.shape[:lead], 2)
        with backends.use(backend):
            y = operator(x, key, p, scale(p), 0.0, 0.0, as_int64(layout.base), layout.strides)
        assert y.stride() == torch.empty_like(x).stride()
        places = itertools.product(*map(range, x.shape[:lead]))
        for place, one in zip(places, drawn, strict=True):
            assert same_bits(y[place], dropout(x[place], p, one, layout))

    property_()


@each_backend
def test_keep_vectors(backend):
    for seed, stream, limit, index, bits in KEEP:
        ones, p = torch.ones(len(bits)), limit / 2**32
        if p == 0.0:
            continue
        with backends.use(backend):
            y = F.dropout(ones, p, key=Key(seed, stream), layout=MaskLayout(index, (1,)))
            z = operator(ones, Key(seed, stream).tensor(), p, 1.0, 0.0, 0.0, as_int64(index), [1])
        assert "".join(str(int(bit)) for bit in z) == bits
        assert torch.equal(y != 0, z != 0)


@pytest.mark.parametrize("threads", [1, 2])
def test_range_and_index_paths_agree_where_the_low_half_decides(monkeypatch, threads):
    """The high halves tie once in 65,536: in 2**19 elements some do, and the low half decides."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    key = Key(3, 2**40 + 9)
    p = 0.3
    n = 2**19 + 3  # the last of the fours in which ties are found is not whole
    shape = [n]
    fast = keep_bits(key.tensor(), shape, p, 5, [1], CPU)
    every = keep_bits(key.tensor(), [n, 2], p, 5, [1, 7], CPU)
    assert torch.equal(fast, every[:, 0])
    blocks = torch.arange((5 + n) // PER_BLOCK + 1)
    high = halves(words_tensor(key.tensor()[None], DOMAIN_HIGH, blocks)).flatten()[5 : 5 + n]
    assert (high == (threshold(p) >> 16) - HALF_LOWER).sum() > 2


@pytest.mark.parametrize("n", [1, 3, 8, 32705, 40000])
def test_a_tie_is_decided_wherever_it_lies(n):
    """The limit ties with the high half of the last element, or of the first, and its low half."""
    key = Key(3, 4)
    for place in {0, n // 2, n - 1}:
        draw = uniform(3, 4, place)
        for limit, kept in ((draw, True), (draw + 1, False)):
            seen = keep_bits(key.tensor(), [n], limit / 2**32, 0, [1], CPU)
            assert bool(seen[place]) == kept


# Uniforms of the first elements among them, so that the low half decides.
TIES = [uniform(5, 6, index) + more for index in (0, 9, 700) for more in (0, 1)]


@pytest.mark.parametrize("limit", [0, 1, 2**31, 2**32 - 1, *TIES])
@pytest.mark.parametrize("base", [0, 3, 2**64 - 1000])
def test_other_devices_have_the_bits_of_the_cpu(monkeypatch, limit, base):
    """Their path to the keep bits, run here."""
    many = torch.stack([Key(5, 6).tensor(), Key(2**64 - 1, 2**60 - 1).tensor()])
    one = torch.empty((2, 1009), dtype=torch.bool)
    reference._keep_into(one, many, limit, base)
    monkeypatch.setattr(_fill, "is_cpu", lambda device: False)
    other = keep_bits(many, [1009], limit / 2**32, as_int64(base), [1], CPU)
    assert torch.equal(one, other)
    for place in (0, 9, 700, 1008):
        expected = uniform(5, 6, (base + place) % 2**64) >= limit
        assert bool(one[0, place]) == expected


@pytest.mark.parametrize("few", [0, 10**6])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("block", [0, 2**32 - 300, 2**61 - 300])
def test_runs_of_blocks_have_the_words_of_the_contract(monkeypatch, few, count, block):
    """By operators and by Python integers, in pieces of which the last is not full."""
    monkeypatch.setattr(_philox, "FEW", few)
    keys = torch.stack([Key(2**64 - 1 - s, 2**60 - 1 - s * 2**33).tensor() for s in range(count)])
    runs = _philox.halves_of_run(keys, DOMAIN_LOW, block, 300, 77)
    found = torch.cat([run.clone() for run in runs], dim=1)  # each overwrites the one before
    blocks = torch.arange(300) + block
    expected = halves(words_tensor(keys[:, None], DOMAIN_LOW, blocks)).flatten(1)
    assert torch.equal(found[:, : 8 * 300], expected)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("domain", [DOMAIN_HIGH, DOMAIN_LOW])
def test_any_blocks_have_the_words_of_the_contract(domain, count):
    """By operators, and, of one key, in Python integers."""
    keys = torch.stack([Key(2**64 - 1 - s, 2**60 - 1 - s * 2**33).tensor() for s in range(count)])
    blocks = torch.tensor([0, 1, 7, 2**32 - 1, 2**32, 12_345_678_901, 2**61 - 1])
    expected = torch.stack(words_tensor(keys[:, None], domain, blocks), dim=-1)
    state = torch.full((2, count, len(blocks)), -1)
    state[1] = blocks
    assert torch.equal(_philox.Philox(keys, domain, CPU).words(state), expected.to(torch.int32))
    indices = [8 * int(block) + place for place, block in enumerate(blocks)]
    found = _philox.halves_in_integers(2**64 - 1, 2**60 - 1, domain, indices)
    words = [expected[0, place, place // 2] for place in range(len(blocks))]
    assert found == [int(word) >> 16 * (i % 2) & 0xFFFF for i, word in enumerate(words)]


def test_the_number_of_a_block_may_carry_into_its_high_half():
    """Indices around 2**35 in one call, more than Python integers compute."""
    n = 4 * PER_BLOCK * _philox.FEW
    base = PER_BLOCK * 2**32 - n // 2
    key = Key(8, 9)
    whole = keep_bits(key.tensor(), [n], 0.4, base, [1], CPU)
    for start in (0, n // 2 - 8, n - 16):
        expected = mask(key, 0.4, (16,), MaskLayout(base + start, (1,)))
        assert torch.equal(whole[start : start + 16], expected)


def test_numbers_have_their_low_byte_first_on_any_machine(monkeypatch):
    numbers = [1, 2**64 - 2, 0x0102030405060708]
    low_first = b"".join(n.to_bytes(8, "little") for n in numbers)
    assert _philox._packed(numbers) == int.from_bytes(low_first, "little")
    swapped = [int.from_bytes(n.to_bytes(8, "little"), "big") for n in numbers]
    for order, expected in (("little", numbers), ("big", swapped)):
        monkeypatch.setattr(sys, "byteorder", order)
        assert _philox._swapped_if_big(array("Q", numbers)).tolist() == expected


@pytest.mark.parametrize("drop_value", [0.0, -0.0, 1.5, float("-inf"), float("nan")])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_any_drop_value_is_selected(drop_value, dtype):
    x = torch.tensor([1.0, float("nan"), float("inf"), -0.0], dtype=dtype).repeat(32)
    y = reference.masked_affine(x, Key(1).tensor(), 0.5, 2.0, 0.0, drop_value, 0, [1])
    keep = mask(Key(1), 0.5, x.shape, MaskLayout.of(x.shape))
    dropped = torch.full((), drop_value, dtype=dtype)
    assert same_bits(y, torch.where(keep, x * 2.0, dropped))


def test_halves_are_those_of_the_other_byte_order(monkeypatch):
    """On a machine whose low byte comes last, memory cannot be read as half words."""
    four = words_tensor(Key(1, 2).tensor()[None], DOMAIN_HIGH, torch.arange(1000))
    fast = halves(four)
    monkeypatch.setattr(sys, "byteorder", "big")
    assert torch.equal(halves(four), fast)
    words = [int(word[7]) for word in four]
    expected = [half - HALF_LOWER for w in words for half in (w & 0xFFFF, w >> 16)]
    assert fast[7].tolist() == expected


@pytest.mark.parametrize("base", [0, 3, 2**33 - 5, 2**63 - CHUNK, 2**64 - 2**21])
def test_chunks_join_without_a_seam(base):
    """Longer than two chunks, so that the work is split in three; probed around the seams."""
    n = 2 * CHUNK + 13
    skip = base % PER_BLOCK
    seam = PER_BLOCK * -(-(skip + n) // (3 * PER_BLOCK)) - skip
    key = Key(11, 12)
    whole = keep_bits(key.tensor(), [n], 0.4, as_int64(base), [1], CPU)
    for start in (0, seam - 8, 2 * seam + skip - 8, n - 16):
        expected = mask(key, 0.4, (16,), MaskLayout(base + start, (1,)))
        assert torch.equal(whole[start : start + 16], expected)
