"""What no single element shows: that masks are independent, and the mean and spread of values."""

import math

import pytest
import torch

from torchdropout import Key
from torchdropout import functional as F


def test_streams_and_seeds_are_independent():
    """Pairs of masks agree in half their bits, within 7 sigma of 2**16 fair coins."""
    masks = [
        F.keep_mask((2**16,), 0.5, key=key)
        for key in (Key(0), Key(1), Key(0, 1), Key(0, 2**32), Key(2**32), Key(0).fold_in(1))
    ]
    for i, one in enumerate(masks):
        for other in masks[:i]:
            agree = (one == other).sum().item()
            assert abs(agree - 2**15) < 7 * math.sqrt(2**16 / 4)


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.9, 0.999])
def test_gaussian_dropout_has_the_variance_of_dropout(p):
    """It is within 6 standard errors, for 2**17 elements: the fourth moment is 3 or so."""
    n, variance = 2**17, p / (1 - p)
    y = F.gaussian_dropout(torch.ones(n, dtype=torch.float64), p, key=Key(8, 9))
    assert abs(y.mean().item() - 1) < 6 * math.sqrt(variance / n)
    assert abs(y.var().item() - variance) < 6 * variance * math.sqrt(2 / n)


def test_what_alpha_dropout_keeps_and_drops_becomes_what_it_does_in_torch():
    x = torch.full((64,), 0.7, dtype=torch.float64)
    torch.manual_seed(0)
    ours = F.alpha_dropout(x, 0.3, True).unique()
    theirs = torch.nn.functional.alpha_dropout(x, 0.3, True).unique()
    torch.testing.assert_close(ours, theirs)
