"""zoneout: a select between two states by the contract's mask; their expectation in eval."""

import math

import pytest
import torch

from draws import draws_nothing, randn
from oracle import same_bits
from torchdropout import Key
from torchdropout import functional as F

KEY = Key(5, 2)


def states():
    return randn(2, 6, 5, dtype=torch.float32)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, -0.0])
def test_what_is_not_chosen_leaves_no_trace(value):
    new, old = states()
    strange = torch.full_like(new, value)
    keep = F.keep_mask(new.shape, 0.4, key=KEY)
    assert same_bits(F.zoneout(strange, old, 0.4, key=KEY)[~keep], old[~keep])
    assert same_bits(F.zoneout(new, strange, 0.4, key=KEY)[keep], new[keep])
    assert same_bits(F.zoneout(strange, old, 0.4, key=KEY)[keep], strange[keep])


def test_p_zero_and_p_one():
    new, old = (s.requires_grad_() for s in states())
    with draws_nothing():
        assert F.zoneout(new, old, 0.0) is new
        assert F.zoneout(new, old, 0.0, training=False) is new
        assert F.zoneout(new, old, 1.0, training=False) is old
    (of_old,) = torch.autograd.grad(F.zoneout(new, old, 1.0).sum(), old)
    assert torch.equal(of_old, torch.ones_like(old))
