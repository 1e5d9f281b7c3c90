"""Gaussian dropout of whole channels: `functional.feature_gaussian_dropout` and its module."""

import pytest
import torch

from torchdropout.errors import ArgumentTypeError, ArgumentValueError, ShapeError
from torchdropout.functional import feature_gaussian_dropout


def test_what_it_refuses_draws_nothing():
    before = torch.get_rng_state()
    with pytest.raises(ShapeError, match="feature_gaussian_dropout: Expected at least 2 dim"):
        feature_gaussian_dropout(torch.ones(4), 0.5)
    x = torch.ones(4)
    assert feature_gaussian_dropout(x, 0.5, False) is feature_gaussian_dropout(x, 0.0) is x
    with pytest.raises(ArgumentValueError, match=r"Expected `p` to be in \[0, 1\): the variance"):
        feature_gaussian_dropout(torch.ones(4, 2), 1.0)
    with pytest.raises(ArgumentTypeError):
        feature_gaussian_dropout(torch.ones(4, 2, dtype=torch.complex64), 0.5)
    assert torch.equal(torch.get_rng_state(), before)
