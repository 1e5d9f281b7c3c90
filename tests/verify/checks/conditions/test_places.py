"""Places that are told apart by their draws in many calls."""

import math

import numpy as np
import pytest
import torch

from torchdropout.verify import stats
from torchdropout.verify.checks.conditions import _places
from torchdropout.verify.context import Fault
from verify.checks._alone import context


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("size", [2, 3, 131, 4096])
def test_calls_that_tell_all_places_apart(p, size):
    calls = _places.calls_to_tell(p, size, 1e-9)
    # Every pair of places, and a place that another call of one earlier or opposite draws may hide.
    apart = math.log(4 * size * size / 1e-9) / -math.log(p * p + (1 - p) ** 2)
    # A place whose draws are all alike, by chance, in any of two ways.
    always = math.log(2 * size / 1e-9) / -math.log(max(p, 1 - p))
    # A tenth more, and one for draws that return a call later.
    assert calls == math.ceil(1.1 * max(math.ceil(apart), always)) + 1


def bits(calls=400, size=48, p=0.5, seed=0):
    return np.random.default_rng(seed).random((calls, size)) >= p


def tell(found, shape=None, p=0.5, size=12, spec=None):
    family = stats.Family(1e-7, size)
    shape = shape or found.shape[1:]
    ctx = context(torch.nn.Dropout(p), spec=spec)
    _places.tell_apart(ctx, found, shape, "here", p, family)
    return family


def test_the_tests_of_places():
    found = bits()
    family = tell(found, (6, 8))
    dropped = 400 - found.sum(0)
    least, most = int(dropped.argmin()), int(dropped.argmax())
    lags = [1, 2, 8, 24, 4, 16]  # neighbours, rows, halves and the lanes of vectors
    assert [(t.label, t.count, t.n, t.expected) for t in family.tests] == [
        ("here, all places", int(dropped.sum()), 19200, 0.5),
        (f"here, place {least} of 48, dropped the least", int(dropped[least]), 400, 0.5),
        (f"here, place {most} of 48, dropped the most", int(dropped[most]), 400, 0.5),
        *(
            (
                f"here, pairs {lag} places apart, which differ",
                *stats.count_differing(*stats.disjoint_pairs(found, lag)),
                0.5,
            )
            for lag in lags
        ),
    ]
    for test, place in zip(family.tests[1:3], (least, most), strict=True):
        alone = stats.binomial_p_value(int(dropped[place]), 400, 0.5, 2.0**-24)
        assert test.p_value == pytest.approx(min(1.0, 48 * alone))


def test_the_rates_of_places_are_those_of_p():
    family = tell(bits(p=0.9), p=0.9)
    assert [t.expected for t in family.tests[:4]] == [0.9, 0.9, 0.9, pytest.approx(0.18)]
    assert not list(family.rejected())


def test_the_rates_of_places_are_those_of_a_p_held_to_few_bits():
    found = bits()
    family = tell(found, p=0.499, spec="plain:bits=8")
    # 127/256 or 1/2, and so between: two places differ by twice as much.
    middle, slack = 127.5 / 256, 0.5 / 256 + 2.0**-24
    dropped = int(found.size - np.count_nonzero(found))
    differing = stats.count_differing(*stats.disjoint_pairs(found, 1))
    assert [test.p_value for test in (family.tests[0], family.tests[3])] == pytest.approx(
        [
            stats.binomial_p_value(dropped, found.size, middle, slack),
            stats.binomial_p_value(*differing, stats.pairs_differ(0.499), 2 * slack),
        ]
    )


@pytest.mark.parametrize(
    ("shape", "lags"),
    [
        ((6, 8), [1, 2, 8, 24, 4, 16]),
        ((3, 4, 10), [1, 2, 10, 40, 60, 4, 8, 16]),
        ((1000,), [1, 2, 500, 4, 8, 16]),
        ((2, 3, 2, 5, 3, 7), [1, 2, 7, 21, 105, 210, 630, 4]),  # no more than eight
        ((2,), [1]),
        ((1,), []),
        ((), []),
    ],
)
def test_the_distances_of_pairs(shape, lags):
    assert _places._distances(shape, math.prod(shape)) == lags


def test_places_with_the_same_draws():
    found = bits()
    found[:, 7] = found[:, 30]
    found[:, 9] = found[:, 32]
    found[:, 11] = found[:, 40]
    with pytest.raises(Fault) as caught:
        tell(found, (6, 8))
    message = caught.value.message
    assert message.startswith(
        "3 pairs of 48 places have the same draws in all of 400 calls, such as"
    )
    assert message.endswith("; 2 of them are 23 places apart")
    assert caught.value.figures == {"pairs": 3, "calls": 400}


def test_one_pair_of_places_with_the_same_draws():
    found = bits()
    found[:, 7] = found[:, 30]
    with pytest.raises(Fault) as caught:
        tell(found, (6, 8))
    assert caught.value.message == (
        "1 pairs of 48 places have the same draws in all of 400 calls, such as 7 and 30; 1 of them "
        "are 23 places apart"
    )


def test_places_that_alternate_share_their_draws():
    found = np.repeat([[True, False] * 33], 2, axis=0).T
    assert _places.sharing(found) == ("the same draws", [(0, 1)])


def test_places_that_are_always_kept_are_reported_by_their_rate():
    found = bits()
    found[:, 7] = found[:, 30] = True
    rejected = [test.label for test in tell(found, (6, 8)).rejected()]
    assert "here, place 7 of 48, dropped the least" in rejected


@pytest.mark.parametrize("size", [40, 64, 65, 130])
@pytest.mark.parametrize("calls", [8, 64, 65, 200])
def test_a_hash_is_equal_where_the_columns_are(size, calls):
    found = bits(calls, size)
    found[:, size - 1] = found[:, 0]
    codes = _places._codes(found)
    assert codes.dtype == np.uint64
    assert codes.shape == (size,)
    assert codes[0] == codes[size - 1]
    same = {column.tobytes() for column in found.T}
    assert len(set(codes.tolist())) == len(same)


@pytest.mark.parametrize("at", [0, 63, 64, 127, 128, 149])
def test_a_hash_depends_on_every_bit(at):
    found = np.zeros((150, 2), dtype=bool)
    found[at, 1] = True
    first, second = _places._codes(found)
    assert first != second
