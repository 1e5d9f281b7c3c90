"""Gaussian dropout of whole channels: `functional.feature_gaussian_dropout` and its module."""

import math

import pytest
import torch

from noise_oracle import noisy
from oracle import same_bits
from torchdropout import Key, MaskLayout, nn
from torchdropout.contract.noise import Law
from torchdropout.errors import ArgumentTypeError, ArgumentValueError, ShapeError
from torchdropout.functional import feature_gaussian_dropout

KEY = Key(8, 9)
SHAPES = [(4, 3), (4, 3, 5), (2, 3, 5, 4), (2, 3, 2, 3, 4), (0, 3, 4), (2, 3, 0)]


def expected(x, p, dims=()):
    shared = (*range(2, x.ndim), *dims)
    layout = MaskLayout.of(x.shape, shared)
    return noisy(x, Law.NORMAL, math.sqrt(p / (1 - p)), 0.0, KEY, layout)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_channel_has_one_draw_by_the_definition(shape, dtype):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    for p in (0.1, 0.5, 0.9):
        assert same_bits(feature_gaussian_dropout(x, p, key=KEY), expected(x, p))
    shared = feature_gaussian_dropout(x, 0.5, key=KEY, broadcast_dims=(0,))
    assert same_bits(shared, expected(x, 0.5, (0,)))


def test_the_gradient_has_the_noise_of_the_output():
    x = torch.randn(2, 3, 5, requires_grad=True)
    y = feature_gaussian_dropout(x, 0.3, key=KEY)
    y.backward(torch.ones_like(y))
    assert same_bits(x.grad, expected(torch.ones(2, 3, 5), 0.3))


def test_the_module_is_the_function_and_the_identity_in_eval():
    layer, x = nn.FeatureGaussianDropout(0.3), torch.randn(2, 3, 5)
    torch.manual_seed(5)
    by_module = layer(x)
    torch.manual_seed(5)
    assert same_bits(by_module, feature_gaussian_dropout(x, 0.3))
    torch.manual_seed(5)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)(x)
    assert same_bits(compiled, by_module)
    assert layer.eval()(x) is x
    assert repr(layer) == "FeatureGaussianDropout(p=0.3, inplace=False)"
    inplace = x.clone()
    assert feature_gaussian_dropout(inplace, 0.3, inplace=True, key=KEY) is inplace
    assert same_bits(inplace, expected(x, 0.3))


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
