"""Alpha dropout: the formula of the paper, torch's defaults, mean and variance."""

import math

import pytest
import torch

from torchdropout import Key
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ShapeError

KEY = Key(2, 3)
ALPHA = -1.7580993408473766


def expected(x, p, keep):
    a = 1 / math.sqrt((1 - p) * (1 + p * ALPHA**2))
    b = -a * p * ALPHA
    return torch.where(keep, a * x + b, a * ALPHA + b)


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_is_the_map_of_the_paper(p):
    x = torch.randn(1000, dtype=torch.float64)
    keep = F.keep_mask((1000,), p, key=KEY)
    torch.testing.assert_close(F.alpha_dropout(x, p, True, key=KEY), expected(x, p, keep))


def test_agrees_with_torch_on_what_a_kept_and_a_dropped_element_become():
    x = torch.full((64,), 0.7, dtype=torch.float64)
    torch.manual_seed(0)
    ours = F.alpha_dropout(x, 0.3, True).unique()
    theirs = torch.nn.functional.alpha_dropout(x, 0.3, True).unique()
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_keeps_mean_and_variance_of_standard_normal_input(p):
    """n = 2**20: mean within 6 sigma = 0.006; variance within 6 sigma of its sampling error."""
    n = 2**20
    x = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y = F.alpha_dropout(x, p, True, key=KEY)
    assert abs(y.mean().item()) < 6 / math.sqrt(n)
    fourth = ((y - y.mean()) ** 4).mean().item()
    assert abs(y.var().item() - 1) < 6 * math.sqrt((fourth - 1) / n)


@pytest.mark.parametrize("function", [F.alpha_dropout, F.feature_alpha_dropout])
def test_training_is_false_by_default_as_in_torch(function):
    x = torch.randn(3, 4)
    assert function(x) is x
    assert function(x, 0.5, True, key=KEY) is not x


@pytest.mark.parametrize("function", [F.alpha_dropout, F.feature_alpha_dropout])
def test_p_one_is_zeros_with_zero_gradient(function):
    x = torch.randn(3, 4, requires_grad=True)
    y = function(x, 1.0, True)
    assert torch.equal(y, torch.zeros(3, 4))
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], torch.zeros(3, 4))


def test_gradient_is_the_scale_of_kept_elements():
    x = torch.randn(1000, dtype=torch.float64, requires_grad=True)
    y = F.alpha_dropout(x, 0.3, True, key=KEY)
    (got,) = torch.autograd.grad(y.sum(), x)
    a = 1 / math.sqrt(0.7 * (1 + 0.3 * ALPHA**2))
    torch.testing.assert_close(got, F.keep_mask((1000,), 0.3, key=KEY).double() * a)


def test_features_share_their_draw():
    y = F.feature_alpha_dropout(torch.zeros(5, 40, 3, 2), 0.5, True, key=KEY).flatten(2)
    assert torch.equal(y, y[..., :1].expand_as(y))
    assert torch.equal(y[..., 0] > 0, F.keep_mask((5, 40), 0.5, key=KEY))


@pytest.mark.parametrize("function", [F.alpha_dropout, F.feature_alpha_dropout])
def test_in_place_is_honoured(function):
    x = torch.randn(5, 40)
    expected = function(x, 0.5, True, key=KEY)
    assert function(x, 0.5, True, True, key=KEY) is x
    assert torch.equal(x, expected)


@pytest.mark.parametrize("function", [F.alpha_dropout, F.feature_alpha_dropout])
def test_refuses_complex_input(function):
    with pytest.raises(ArgumentTypeError, match=r"floating-point tensor .*torch.complex64"):
        function(torch.ones(3, 2, dtype=torch.complex64), 0.5, True)


def test_feature_alpha_refuses_one_dimension_as_torch_does():
    for function in (torch.nn.functional.feature_alpha_dropout, F.feature_alpha_dropout):
        with pytest.raises(RuntimeError, match="at least 2 dimensions"):
            function(torch.ones(3), 0.5, True)
        for given in ((0.0, True), (0.5, False)):
            assert torch.equal(function(torch.ones(3), *given), torch.ones(3))
        assert function(torch.ones(3, 2), 0.5, True).shape == (3, 2)
    with pytest.raises(ShapeError):
        F.feature_alpha_dropout(torch.ones(3), 0.5, True)
