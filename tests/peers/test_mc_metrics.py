"""The metrics of torchmetrics and torch-uncertainty take the tensors of a `Result`."""

import re
from pathlib import Path

import pytest
import torch
from matplotlib import pyplot

from torchdropout import mc
from torchdropout.models.mc import plot

PAGE = Path(__file__).parents[2] / "docs" / "mc.md"
CLASSES = 3
TARGET = torch.arange(500) % CLASSES


@pytest.fixture(autouse=True)
def no_window():
    pyplot.switch_backend("Agg")
    yield
    pyplot.close("all")


@pytest.fixture
def metrics():
    return pytest.importorskip("torch_uncertainty.metrics")


def results():
    """20 passes that differ, and are right more often than not."""
    generator = torch.Generator().manual_seed(0)
    statistics = mc.ClassificationStatistics(keep_samples=True)
    mean = torch.randn(len(TARGET), CLASSES, generator=generator, dtype=torch.float64)
    mean[torch.arange(len(TARGET)), TARGET] += 1
    noise = torch.randn(20, *mean.shape, generator=generator, dtype=torch.float64)
    return statistics.update(mean + noise).result()


def calibration_error(confidence, right, bins=15):
    """By its definition."""
    place = (confidence * bins).floor().clamp(max=bins - 1)
    gaps = [(confidence[place == b].sum() - right[place == b].sum()).abs() for b in range(bins)]
    return sum(gaps) / len(right)


class TestTorchmetrics:
    @pytest.fixture
    def metric(self):
        torchmetrics = pytest.importorskip("torchmetrics")
        return lambda name, **options: getattr(torchmetrics, name)(
            task="multiclass", num_classes=CLASSES, **options
        )

    def test_accuracy(self, metric):
        r = results()
        accuracy = metric("Accuracy", average="micro")(r.prediction, TARGET)
        assert accuracy == (r.prediction == TARGET).float().mean()
        assert 0.4 < accuracy < 0.9

    def test_calibration_error_is_that_of_the_plot(self, metric):
        r = results()
        error = metric("CalibrationError", n_bins=15)(r.mean, TARGET)
        expected = calibration_error(r.mean.amax(1), (r.prediction == TARGET).double())
        torch.testing.assert_close(error.double(), expected, rtol=1e-5, atol=1e-6)
        title = plot.reliability(r, TARGET, bins=15).get_title()
        assert title.startswith(f"ECE {error:.3f}")


@pytest.mark.filterwarnings("ignore:Metric `.+` will save all predictions")
class TestTorchUncertainty:
    @pytest.mark.parametrize(
        ("name", "attribute", "whole"),
        [
            ("Entropy", "predictive_entropy", False),
            ("Entropy", "expected_entropy", True),
            ("MutualInformation", "mutual_information", True),
        ],
    )
    def test_entropies(self, metrics, name, attribute, whole):
        r = results()
        given = r.samples.transpose(0, 1) if whole else r.mean
        found = getattr(metrics, name)(reduction="none")(given)
        torch.testing.assert_close(found, getattr(r, attribute))

    def test_variation_ratio(self, metrics):
        """Theirs counts the votes for the class of the mean, ours those for the most frequent.

        It takes the passes first, unlike their other metrics.
        """
        r = results()
        metric = metrics.VariationRatio(probabilistic=False, reduction="none")
        found = metric(r.samples).double()
        votes = torch.nn.functional.one_hot(r.samples.argmax(-1), CLASSES).sum(0)
        same = votes.gather(1, r.prediction[:, None])[:, 0] == votes.amax(1)
        assert 0 < (~same).sum() < 100
        torch.testing.assert_close(found[same], r.variation_ratio[same].double())
        assert (found[~same] > r.variation_ratio[~same]).all()

    def test_area_under_the_risk_coverage_curve(self, metrics):
        r = results()
        wrong = (r.prediction != TARGET).double()[r.mean.amax(1).argsort(descending=True)]
        count = torch.arange(1, len(wrong) + 1)
        risk = wrong.cumsum(0) / count
        expected = torch.trapezoid(risk, count / len(wrong)) / (1 - 1 / len(wrong))
        found = metrics.AURC()(r.mean, TARGET)
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Metric `.+` will save all predictions")
def test_what_the_page_shows(metrics):
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    first, (shown,) = blocks[0], [block for block in blocks if "import torchmetrics" in block]
    world = {}
    exec(first, world)
    exec(shown, world)
    assert 0 <= world["accuracy"] <= 1
    assert 0 <= world["ece"] <= 1
    assert 0 <= world["aurc"] <= 1
