"""The benchmark of Monte-Carlo dropout: its instrument, and a small run."""

import pytest
import torch
from torch import nn

import scripts


@pytest.fixture(scope="module")
def bench():
    with scripts.benchmark("mc") as module:
        yield module


@pytest.mark.parametrize("label", ["nn.TransformerEncoder", "F.dropout", "nn.LSTM", "a user's"])
def test_ours_reaches_all_sites_that_a_loop_in_training_has(bench, label):
    make, x = next(v for k, v in bench.SITES.items() if k.startswith(label))
    expected = 8 if label == "nn.TransformerEncoder" else 1
    assert bench.reached(make, x, "all") == (expected, 0, "")
    assert bench.reached(make, x, bench.OURS) == (expected, 0, "")


def test_a_site_that_is_off_or_fixed_does_not_count(bench):
    class Fixed(nn.Module):
        def forward(self, x):
            generator = torch.Generator().manual_seed(0)
            return x * torch.bernoulli(torch.full_like(x, 0.5), generator=generator)

    model = bench.Watched(nn.Sequential(nn.Dropout(0.5), Fixed(), nn.Dropout(0.0))).eval()
    for training, expected in ((False, 0), (True, 1)):
        model.model[0].train(training)
        with torch.no_grad(), bench.Draws(model) as draws:
            for _ in range(bench.PASSES):
                model(torch.ones(8, 8))
        assert draws.on().total() == expected
        assert set(draws.on()) <= {"model.0", "model.1"}


def test_buffers_that_change_are_counted(bench, monkeypatch):
    def make():
        return nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5))

    def in_training(model, passes):
        return lambda x: [model.train()(x) for _ in range(passes)]

    x = torch.randn(16, 4)
    assert bench.reached(make, x, "all") == (1, 0, "")
    monkeypatch.setattr(bench, "_of_loop", in_training)
    assert bench.reached(make, x, "all") == (1, 3, "")
