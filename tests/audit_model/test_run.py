"""The passes of a model's audit: the names of its modules, how it is run, and its errors."""

import warnings

import pytest
import torch
from torch import nn

from torchdropout.audit_model.run import sites
from torchdropout.errors import ArgumentTypeError, TargetError

X = torch.ones(4, 8)


def test_a_lazy_model_that_cannot_be_copied():
    class Stuck(nn.LazyLinear):
        def __deepcopy__(self, memo):
            raise ValueError("stuck")

    with pytest.raises(TargetError, match=r"have been run once, or to be copyable, got ValueError"):
        sites(nn.Sequential(Stuck(3)), X)


def test_each_pass_has_its_mode():
    class Noting(nn.Module):
        def forward(self, x):
            seen.append((self.training, torch.is_grad_enabled(), torch.is_inference_mode_enabled()))
            return x

    seen = []
    found = sites(Noting(), X)
    assert seen == [(True, True, False), (False, False, False), (True, False, False)]
    assert found.seconds > 0
    assert found.model == "Noting"


def test_the_dropouts_alone_are_in_train_in_the_fourth_pass():
    class Layer(nn.TransformerEncoderLayer):
        def forward(self, x):
            seen.append((self.training, self.norm1.training, self.dropout1.training))
            return x

    seen = []
    sites(Layer(8, 2, 8, batch_first=True), X[None])
    assert seen == [(True,) * 3, (False,) * 3, (True,) * 3, (False, False, True)]


def test_warnings_of_the_model_are_not_shown():
    class Warns(nn.Module):
        def forward(self, x):
            warnings.warn("loud", stacklevel=1)
            return x

    before = warnings.filters[:]
    sites(Warns(), X)
    assert warnings.filters == before


@pytest.mark.parametrize("model", [3, X, nn.ReLU])
def test_what_is_not_a_model(model):
    with pytest.raises(ArgumentTypeError, match="Expected `model` to be a torch"):
        sites(model, X)
