"""zoneout: a select between two states by the contract's mask; their expectation in eval."""

import importlib
import math

import pytest
import torch

from oracle import same_bits
from torchdropout import Key
from torchdropout import functional as F

KEY = Key(5, 2)
zoneout = importlib.import_module("torchdropout.functional.zoneout")  # not the function


def states(dtype=torch.float32, shape=(6, 5), **kwargs):
    wide = torch.complex128 if dtype.is_complex else torch.float64
    pair = torch.randn(2, *shape, dtype=wide, generator=torch.Generator().manual_seed(1))
    return [s.to(dtype).requires_grad_(kwargs.get("requires_grad", False)) for s in pair]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, -0.0])
def test_what_is_not_chosen_leaves_no_trace(value):
    new, old = states()
    strange = torch.full_like(new, value)
    keep = F.keep_mask(new.shape, 0.4, key=KEY)
    assert same_bits(F.zoneout(strange, old, 0.4, key=KEY)[~keep], old[~keep])
    assert same_bits(F.zoneout(new, strange, 0.4, key=KEY)[keep], new[keep])
    assert same_bits(F.zoneout(strange, old, 0.4, key=KEY)[keep], strange[keep])


def test_p_zero_and_p_one():
    new, old = states(requires_grad=True)
    before = torch.get_rng_state()
    assert F.zoneout(new, old, 0.0) is new
    assert F.zoneout(new, old, 0.0, training=False) is new
    assert F.zoneout(new, old, 1.0, training=False) is old
    assert torch.equal(torch.get_rng_state(), before)
    y = F.zoneout(new, old, 1.0)
    assert torch.equal(y, old)
    of_new, of_old = torch.autograd.grad(y.sum(), (new, old))
    assert torch.equal(of_new, torch.zeros_like(new))
    assert torch.equal(of_old, torch.ones_like(old))
