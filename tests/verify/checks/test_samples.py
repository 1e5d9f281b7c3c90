"""How many masks the statistical checks draw, at each level and p; none is drawn here."""

import math

import numpy as np
import pytest
import torch

from torchdropout.verify import LEVELS, Level, stats
from torchdropout.verify.checks import _samples
from torchdropout.verify.context import Context
from torchdropout.verify.registry import STATISTICAL
from torchdropout.verify.targets import resolve

SHARE = 1e-6 * 0.99 / STATISTICAL


@pytest.fixture(params=LEVELS.values(), ids=lambda level: level.name)
def level(request):
    return request.param


@pytest.fixture(params=[0.5, 0.9, 0.999])
def p(request):
    return request.param


@pytest.fixture
def drawn(level, p, monkeypatch):
    """`drawn(sample)`: how many calls of which shape."""
    monkeypatch.setattr(Context, "masks", lambda ctx, p, calls, shape: (p, calls, shape))
    context = Context(resolve(torch.nn.Dropout(p)), level, 0, 1e-6, STATISTICAL)

    def sample(name):
        at, calls, shape = getattr(_samples, name)(context)
        assert at == p
        return calls, shape

    return sample


def pairs(level, p, tests):
    chance = stats.pairs_differ(p)
    found = stats.size_for(p=chance, change=chance * level.correlation, alpha=SHARE / tests)
    return min(found, level.most)


def test_a_stream_has_the_pairs_of_32_tests_in_calls_of_a_million(drawn, level, p):
    calls, shape = drawn("stream")
    assert shape == (1 << 20,)
    assert (calls - 1) * (1 << 20) < 2 * pairs(level, p, 32) <= calls * (1 << 20)


def test_volumes_have_the_pairs_of_24_tests_also_where_a_lag_does_not_divide_an_axis(
    drawn, level, p
):
    calls, shape = drawn("volumes")
    assert shape == (8, 24, 20, 28)
    assert shape == _samples.VOLUME
    fewest = min(
        n // (2 * lag) * lag / n * calls * math.prod(shape)
        for n in shape
        for lag in (1, 2, 3, 4, n // 4, n // 2)
    )
    needed = pairs(level, p, 24)
    assert needed <= fewest
    assert calls == 1 or fewest < 1.05 * needed + math.prod(shape)


def test_a_series_has_the_pairs_of_8_tests_in_calls_whose_number_is_a_multiple_of_64(
    drawn, level, p
):
    calls, shape = drawn("series")
    assert shape == (8192,)
    assert calls % 64 == 0
    assert (calls - 64) * 8192 < 2 * pairs(level, p, 8) <= calls * 8192


def test_small_calls_show_a_pool_of_the_level_and_are_told_apart(drawn, level, p):
    calls, (size,) = drawn("small_calls")
    most = stats.masks_for_pool(level.pool, SHARE / 2)
    if p == 0.5:
        assert (calls, size) == (most, 131)
        return
    told = stats.bits_to_tell(p, most * (most - 1) / 2, SHARE / 2)
    assert size == max(131, told)
    assert calls == min(most, level.most // size)


@pytest.mark.parametrize(
    ("most", "p", "calls", "size"),
    [
        (1 << 12, 0.999, 16, (1 << 12) // 16),  # cut short: too few for `few-masks`
        (1 << 16, 0.5, (1 << 16) // 131, 131),
    ],
)
def test_small_calls_fit_into_the_time(monkeypatch, most, p, calls, size):
    monkeypatch.setattr(Context, "masks", lambda ctx, p, calls, shape: (calls, shape))
    level = Level("some", 0.02, 0.06, 0.04, 1e6, 1 << 16, 1 << 16, most)
    context = Context(resolve(torch.nn.Dropout(p)), level, 0, 1e-6, STATISTICAL)
    assert _samples.small_calls(context) == (calls, (size,))
    assert _samples.rows(context) == (4, (min(most, 1 << 14) // 256, 256))


def test_rows_are_as_long_as_the_run_of_the_level(drawn, level):
    calls, shape = drawn("rows")
    assert shape[1] == 256
    assert calls * shape[0] * shape[1] == level.run
    assert calls == 4


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ("ab", []),
        ("aa", [(0, 1)]),
        ("abcb", [(1, 3)]),
        ("abaab", [(0, 2), (0, 3), (1, 4)]),
    ],
)
def test_a_row_that_repeats_is_given_with_the_first_like_it(rows, found):
    masks = {name: np.random.default_rng(ord(name)).random(131) < 0.5 for name in "abc"}
    assert _samples.repeated(np.stack([masks[name] for name in rows])) == found


def test_rows_that_differ_in_their_last_bit_are_not_repeats():
    bits = np.zeros((2, 9), dtype=bool)
    bits[1, 8] = True
    assert _samples.repeated(bits) == []
