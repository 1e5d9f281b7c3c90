"""The recipe of concrete dropout: its model, its measures, and a small run of it."""

import math

import pytest
import torch
from scipy import stats

import torchdropout as td


def test_the_interval_is_students(recipe):
    values = torch.rand(5).double().add(0.5).tolist()
    low, high = stats.t.interval(0.95, 4, sum(values) / 5, stats.sem(values))
    assert recipe.interval(values) == pytest.approx((sum(values) / 5, low, high))
    logs = [math.log(v) for v in values]
    expected = [math.exp(v) for v in recipe.interval(logs)]
    assert recipe.interval(values, log=True) == pytest.approx(expected)


def test_the_density_is_normal(recipe):
    y, mean, log_variance = torch.randn(3, 50)
    expected = torch.distributions.Normal(mean, (0.5 * log_variance).exp()).log_prob(y)
    torch.testing.assert_close(recipe.log_density(y, mean, log_variance), expected)


def test_the_model_has_the_dropouts_that_its_kind_says(recipe):
    concrete, fixed, none = (recipe.Regression(kind, 100) for kind in recipe.KINDS)
    assert sum(isinstance(m, td.nn.ConcreteDropout) for m in concrete.modules()) == 3
    assert [m.p for m in fixed.modules() if isinstance(m, td.nn.Dropout)] == [0.1] * 3
    x = torch.randn(20)
    for model, same in ((concrete, False), (fixed, False), (none, True)):
        mean, log_variance, penalty = model(x)
        assert mean.shape == log_variance.shape == (20,)
        assert torch.equal(model(x)[0], mean) is same
        assert torch.equal(penalty, td.nn.regularisation(model))
    assert concrete(x)[2] < 0  # of entropies, at so small a length
    assert none(x)[2] == 0
    first = concrete.net[2]
    assert first.dropout_regularizer == pytest.approx(2 / 100)
    assert first.weight_regularizer == pytest.approx(recipe.LENGTH**2 / 100)


@pytest.mark.integration
def test_a_small_run(recipe, run, tmp_path):
    printed, found = run()
    rows = printed.splitlines()[2:]
    assert [row.split(" | ")[1] for row in rows] == list(recipe.KINDS) * 2
    assert len(found) == 2 * (3 * 3 + 3) * recipe.SEEDS
    ps = [float(row["value"]) for row in found if row["measure"].startswith("p ")]
    assert len(ps) == 2 * 3 * recipe.SEEDS
    assert all(0.05 < p < 0.5 for p in ps)
    assert any(p != pytest.approx(0.1, abs=1e-3) for p in ps)  # they were learned
    spread = [row for row in found if row["measure"] == "spread of the mean"]
    assert all((float(row["value"]) == 0) is (row["model"] == "no dropout") for row in spread)
    assert (tmp_path / "concrete_regression.svg").read_text().startswith("<?xml")
