"""The stand-in for a rate in compiled code: the calls that it is given to are those of the number.

The calls are made without a compiler, which only records them.
"""

import pytest
import torch

from oracle import same_bits
from torchdropout._core import direct
from torchdropout.functional._bernoulli import inverted, unscaled
from torchdropout.functional._blocks import block_constants
from torchdropout.functional._rate import Rate
from torchdropout.functional.alpha_dropout import alpha
from torchdropout.functional.gaussian_dropout import noise_of as of_dropout
from torchdropout.functional.gaussian_noise import noise_of as of_noise
from torchdropout.functional.uniform_dropout import noise_of as of_uniform
from variants import FUNCTIONS, KEY

# What the constants of a call are computed from the number by, where these are not inverted's.
CONSTANTS = {
    "drop_path, unscaled": lambda p: unscaled(p).constants,
    "alpha_dropout": lambda p: alpha(p).constants,
    "feature_alpha_dropout": lambda p: alpha(p).constants,
    "zoneout": lambda p: unscaled(p).constants,
    "drop_block1d": lambda p: block_constants(p, 1, 3, 1e-6),
    "drop_block2d": lambda p: block_constants(p, 2, 3, 1e-6),
    "drop_block2d, all channels": lambda p: block_constants(p, 2, 2, 1e-6),
    "drop_block2d, by count": lambda p: block_constants(p, 2, 2, 0.0),
    "drop_block3d": lambda p: block_constants(p, 3, 2, 1e-6),
    "token_dropout": lambda p: (p,),
    "token_dropout, ordered": lambda p: (p,),
    "column_dropout": lambda p: (p,),
    "column_dropout, of a row": lambda p: (p,),
    "gaussian_dropout": lambda p: of_dropout(p).constants[1:],
    "feature_gaussian_dropout": lambda p: of_dropout(p).constants[1:],
    "gaussian_noise": lambda p: of_noise(p).constants[1:],
    "uniform_dropout": lambda p: of_uniform(p).constants[1:],
}
FINITE = {"gaussian_dropout", "feature_gaussian_dropout", "uniform_dropout"}  # refuse a p of 1
each = pytest.mark.parametrize("name", [name for name, v in FUNCTIONS.items() if v.p is not None])


def rate(name, p):
    return Rate.of(p, CONSTANTS.get(name, lambda p: inverted(p).constants)(p))


@pytest.mark.parametrize("p", [0.3, 1.0])
@each
def test_a_call_is_that_of_the_number(name, p, monkeypatch):
    v = FUNCTIONS[name]
    p = 0.9 if p == 1.0 and name in FINITE else p
    monkeypatch.setattr(direct, "takes_add", lambda *tensors: False)
    tensors = v.tensors(grad=True)
    y, expected = (v(*tensors, key=KEY, p=each) for each in (rate(name, p), p))
    assert same_bits(y, expected) or not v.exact
    torch.testing.assert_close(y, expected)
    gradient = torch.linspace(-1, 2, y.numel()).view(y.shape)
    found, wanted = (torch.autograd.grad(t, tensors[0], gradient)[0] for t in (y, expected))
    torch.testing.assert_close(found, wanted)


@each
def test_at_zero_nothing_is_dropped(name):
    v = FUNCTIONS[name]
    tensors = v.tensors()
    y, expected = (v(*tensors, key=KEY, p=each) for each in (rate(name, 0.0), 0.0))
    torch.testing.assert_close(y, expected, rtol=0, atol=0)
    assert (y is tensors[0]) == (expected is tensors[0])


@pytest.mark.parametrize("p", [0.3, 1.0])
def test_zoneout_in_eval(p):
    v = FUNCTIONS["zoneout"]
    tensors = v.tensors()
    y, expected = (v(*tensors, p=each, training=False) for each in (rate("zoneout", p), p))
    torch.testing.assert_close(y, expected)
