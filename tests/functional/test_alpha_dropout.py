"""Alpha dropout: the formula of the paper, torch's defaults, mean and variance."""

import pytest
import torch

from torchdropout import functional as F
from torchdropout.errors import ShapeError


def test_agrees_with_torch_on_what_a_kept_and_a_dropped_element_become():
    x = torch.full((64,), 0.7, dtype=torch.float64)
    torch.manual_seed(0)
    ours = F.alpha_dropout(x, 0.3, True).unique()
    theirs = torch.nn.functional.alpha_dropout(x, 0.3, True).unique()
    torch.testing.assert_close(ours, theirs)


def test_feature_alpha_refuses_one_dimension_as_torch_does():
    for function in (torch.nn.functional.feature_alpha_dropout, F.feature_alpha_dropout):
        with pytest.raises(RuntimeError, match="at least 2 dimensions"):
            function(torch.ones(3), 0.5, True)
        for given in ((0.0, True), (0.5, False)):
            assert torch.equal(function(torch.ones(3), *given), torch.ones(3))
        assert function(torch.ones(3, 2), 0.5, True).shape == (3, 2)
    with pytest.raises(ShapeError):
        F.feature_alpha_dropout(torch.ones(3), 0.5, True)
