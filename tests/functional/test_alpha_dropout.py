"""Alpha dropout: the formula of the paper, torch's defaults, mean and variance."""

import math

import pytest
import torch

from torchdropout import Key
from torchdropout import functional as F
from torchdropout.errors import ShapeError

KEY = Key(2, 3)


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


def test_feature_alpha_refuses_one_dimension_as_torch_does():
    for function in (torch.nn.functional.feature_alpha_dropout, F.feature_alpha_dropout):
        with pytest.raises(RuntimeError, match="at least 2 dimensions"):
            function(torch.ones(3), 0.5, True)
        for given in ((0.0, True), (0.5, False)):
            assert torch.equal(function(torch.ones(3), *given), torch.ones(3))
        assert function(torch.ones(3, 2), 0.5, True).shape == (3, 2)
    with pytest.raises(ShapeError):
        F.feature_alpha_dropout(torch.ones(3), 0.5, True)
