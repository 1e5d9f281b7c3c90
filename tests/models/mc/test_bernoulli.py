"""Draws with `bernoulli` in several passes of one forward."""

import pytest
import torch
from torch import nn

from torchdropout import mc


class PerRow(nn.Module):
    """Stochastic depth, as in torchvision, along a dimension."""

    def __init__(self, keep, dim):
        super().__init__()
        self.keep, self.dim = keep, dim

    def forward(self, x):
        if not self.training:
            return x
        size = [1] * x.ndim
        size[self.dim] = x.shape[self.dim]
        return x * x.new_empty(size).bernoulli_(self.keep)


@pytest.mark.parametrize(
    ("keep", "dim", "dtype"), [(0.25, 0, torch.float32), (0.9, 1, torch.float64)]
)
def test_passes_in_one_forward_have_the_masks_of_a_loop(keep, dim, dtype, monkeypatch):
    model = PerRow(keep, dim).eval()
    x = torch.ones(3, 3, 4, dtype=dtype)

    def samples(strategy):
        predictor = mc.MCDropout(
            model, 8, task="regression", strategy=strategy, keep_samples=True, batch_dim=dim,
            on_unreached="ignore", precision=1.0,
        )  # fmt: skip
        return predictor(x, index=5)

    expected = samples("loop")
    monkeypatch.setattr(torch, "vmap", None)  # a transform for each of many small draws is slow
    found = samples("repeat")
    assert torch.equal(found.samples, expected.samples)
    assert 0 < (found.samples == 0).double().mean() < 1
