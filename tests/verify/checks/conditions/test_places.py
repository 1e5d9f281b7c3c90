"""Places that are told apart by their draws in many calls."""

import numpy as np
import pytest
import torch

from torchdropout.verify import stats
from torchdropout.verify.checks.conditions import _places
from torchdropout.verify.context import Fault
from verify.checks._alone import context


def bits(calls=400, size=48, p=0.5, seed=0):
    return np.random.default_rng(seed).random((calls, size)) >= p


def tell(found, shape=None, p=0.5, size=12, spec=None):
    family = stats.Family(1e-7, size)
    shape = shape or found.shape[1:]
    ctx = context(torch.nn.Dropout(p), spec=spec)
    _places.tell_apart(ctx, found, shape, "here", p, family)
    return family


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


def test_places_that_are_always_kept_are_reported_by_their_rate():
    found = bits()
    found[:, 7] = found[:, 30] = True
    rejected = [test.label for test in tell(found, (6, 8)).rejected()]
    assert "here, place 7 of 48, dropped the least" in rejected
