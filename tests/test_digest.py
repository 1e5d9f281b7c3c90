"""The digest of what a variant computes is the same in each run, and no other's."""

import dataclasses

import pytest

import digest
from torchdropout import functional as F
from variants import FUNCTIONS, MODULES


@pytest.mark.integration
def test_a_digest_is_the_same_each_time():
    for name in ("dropout", "zoneout", "column_dropout"):
        assert digest.of_function(FUNCTIONS[name], 30) == digest.of_function(FUNCTIONS[name], 30)
    assert digest.of_module(MODULES["GaussianNoise"]) == digest.of_module(MODULES["GaussianNoise"])


def flipped(x, *args, **kwargs):
    """One element has another sign of its zero."""
    y = F.dropout(x, *args, **kwargs)
    if y.is_floating_point() and not y.requires_grad and (y == 0).any():
        y[tuple((y == 0).nonzero()[0])] *= -1
    return y


def twice(x, *args, **kwargs):
    """The same values, after one draw more."""
    F.dropout(x.detach(), 0.5)
    return F.dropout(x, *args, **kwargs)


def slower(x, *args, **kwargs):
    """The same values, with another gradient."""
    y = F.dropout(x, *args, **kwargs)
    return y + (x - x.detach()) * 1e-3 if x.requires_grad else y


@pytest.mark.integration
@pytest.mark.parametrize("change", [flipped, twice, slower])
def test_a_bit_a_draw_and_a_gradient_count(change):
    v = FUNCTIONS["dropout"]
    other = dataclasses.replace(v, adapt=change)
    assert digest.of_function(other, 60) != digest.of_function(v, 60)
