"""Words and numbers of noise: section 7 of the contract."""

import math
import struct

import mpmath
import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from noise_oracle import words_from_zero
from torchdropout import Key
from torchdropout._core.contract.noise import (
    _CENTRAL,
    Law,
    _log,
    _root,
    _Single,
    noise,
    noise_of_words,
    word,
)
from vectors import NOISE

SEED, STREAM = 0x0123456789ABCDEF, 0xFEDCBA987654321

each_law = pytest.mark.parametrize("law", Law, ids=lambda law: law.name)

# Ends, middle, powers of two and their neighbours, and both ends of the central region.
SPLITS = [2**31 - _CENTRAL, 2**31 + _CENTRAL]
EDGES = sorted(
    {
        w
        for place in (0, 2**31, 2**32 - 1, *SPLITS, *(2**k for k in range(32)))
        for w in range(place - 3, place + 4)
        if 0 <= w < 2**32
    }
)


def bits(value):
    return struct.pack("<f", value)


def edge_words():
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randint(0, 2**32, (100_000,), generator=generator)
    rare = torch.randint(0, 2**20, (20_000,), generator=generator)
    return torch.cat([torch.tensor(EDGES), drawn, rare, 2**32 - 1 - rare])


def test_vectors():
    assert {law for law, *_ in NOISE} == set(Law)
    for law, seed, stream, index, w, value in NOISE:
        assert word(seed, stream, law, index) == w
        assert bits(noise(seed, stream, Law(law), index)) == bits(value)


@each_law
def test_tensors_equal_the_definition(law, monkeypatch):
    """On every edge and on random words: those are put where the definition looks for them."""
    some = edge_words()[: len(EDGES) + 4000]
    by_tensors = noise_of_words(some, law)
    for w, value in zip(some.tolist(), by_tensors.tolist(), strict=True):
        monkeypatch.setattr("torchdropout._core.contract.noise.word", lambda *_, w=w: w)
        assert bits(noise(0, 0, law, 0)) == bits(value)


@given(st.floats(2.0**-33, 2.0**33, width=32))
def test_logarithm(x):
    """Within one unit in the last place of what is summed, on numbers and on tensors alike."""
    value = float(_log(_Single(x)))
    assert bits(value) == bits(_log(torch.tensor([x])).item())
    exact = math.log(x)
    assert abs(value - exact) <= np.spacing(np.float32(max(abs(exact), 0.7)))


def test_square_root_is_correctly_rounded():
    """Every kind of value whose root the tail takes is tried, in integers, without rounding."""
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(4000, generator=generator) * 46
    x = torch.cat([x, torch.arange(1.0, 47.0)])
    for value, root in zip(x.tolist(), _root(x).tolist(), strict=True):
        with mpmath.workdps(40):
            exact = mpmath.sqrt(value)
            spacing = float(np.spacing(np.float32(root)))
            assert abs(exact - root) <= spacing / 2
        assert float(_root(_Single(value))) == root


BOUND = {Law.UNIFORM: 6.0e-8, Law.NORMAL: 9e-7, Law.LOGISTIC: 2e-6}


@each_law
def test_accuracy(law):
    """Edges are compared with 50 digits; `benchmarks/noise_law.py` compares every word."""
    w = torch.cat([torch.tensor(EDGES), edge_words()[len(EDGES) :: 1000]])
    errors = []
    for n, value in zip(w.tolist(), noise_of_words(w, law).tolist(), strict=True):
        with mpmath.workdps(50):
            u = mpmath.mpf(2 * n + 1) / 2**33
            if law == Law.UNIFORM:
                exact = 2 * u - 1
            elif law == Law.NORMAL:
                exact = mpmath.sqrt(2) * mpmath.erfinv(2 * u - 1)
            else:
                exact = mpmath.log(u / (1 - u))
            errors.append(float(abs(value - exact)))
    assert max(errors) < BOUND[law]
    assert max(errors) > BOUND[law] / 8


@each_law
def test_symmetric_and_rising(law):
    """Neighbouring words may give equal numbers, or such as are out of order by their errors."""
    w = torch.tensor(EDGES)
    value = noise_of_words(w, law)
    assert torch.equal(value, -noise_of_words(2**32 - 1 - w, law))
    assert value.diff().min().item() >= (0.0 if law == Law.UNIFORM else -2 * BOUND[law])
    assert bool((noise_of_words(torch.arange(0, 2**32, 2**22), law).diff() > 0).all())
    assert bool(value.isfinite().all())
    largest = {Law.UNIFORM: 1 - 2**-24, Law.NORMAL: 6.338, Law.LOGISTIC: 22.87}[law]
    assert value.abs().max().item() == pytest.approx(largest, abs=1e-2 if largest > 1 else 0)


DISTRIBUTION = {
    Law.UNIFORM: scipy.stats.uniform(-1, 2),
    Law.NORMAL: scipy.stats.norm(),
    Law.LOGISTIC: scipy.stats.logistic(),
}


@each_law
def test_distribution(law):
    """Kolmogorov and Smirnov's test of 2**18 numbers, at a false-alarm rate of 1e-6.

    Its critical distance is `sqrt(log(2 / 1e-6) / 2 / n)` = 0.0053. A mean off by 0.02 standard
    deviations, or a standard deviation off by 3 %, moves the distribution function by 0.0058 or
    more somewhere and is seen half the time or more; the second part shows it of twice that.
    """
    n = 2**18
    critical = math.sqrt(math.log(2 / 1e-6) / 2 / n)
    value = noise_of_words(words_from_zero(Key(SEED, STREAM), law, n), law).sort().values.numpy()

    def distance(sample):
        at = DISTRIBUTION[law].cdf(sample)
        steps = np.arange(n + 1) / n
        return max(np.abs(at - steps[1:]).max(), np.abs(at - steps[:-1]).max())

    assert distance(value) < critical
    spread = DISTRIBUTION[law].std()
    assert distance(value + 0.04 * spread) > critical
    assert distance(value * 1.06) > critical
