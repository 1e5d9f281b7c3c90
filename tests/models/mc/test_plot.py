"""Plots: the data of what is drawn, the titles' findings, and what is refused."""

import builtins
import math
import re

import pytest
import torch
from matplotlib import pyplot
from matplotlib.figure import Figure

from torchdropout.models.mc import ClassificationStatistics, RegressionStatistics, plot


@pytest.fixture(autouse=True)
def no_figures_left():
    pyplot.switch_backend("Agg")
    yield
    pyplot.close("all")


def of_probabilities(p, passes=1):
    """A result whose mean probabilities are p: `(B, C)`."""
    chunk = torch.as_tensor(p, dtype=torch.float64).expand(passes, -1, -1)
    return ClassificationStatistics(outputs="probabilities").update(chunk).result()


def noisy(size=300, classes=4, passes=8, dims=()):
    logits = 2 * torch.randn(passes, size, classes, *dims, generator=generator())
    r = ClassificationStatistics().update(logits).result()
    return r, torch.randint(classes, (size, *dims), generator=generator())


def generator():
    return torch.Generator().manual_seed(0)


def line(axes, label):
    (found,) = [one for one in axes.lines if one.get_label() == label]
    return list(map(float, found.get_xdata())), list(map(float, found.get_ydata()))


class TestReliability:
    # Confidences 0.7, 0.72, 0.98 and 1; of the first two one is right, of the others both.
    RESULT = ((0.7, 0.3), (0.28, 0.72), (0.98, 0.02), (1.0, 0.0))
    TARGET = torch.tensor([0, 0, 0, 0])

    def test_bars_points_and_error(self):
        axes = plot.reliability(of_probabilities(self.RESULT), self.TARGET, bins=10)
        bars = [(b.get_x(), b.get_width(), b.get_height()) for b in axes.patches]
        assert bars == [pytest.approx((0.7, 0.1, 0.5)), pytest.approx((0.9, 0.1, 1.0))]
        x, y = line(axes, "at its mean confidence")
        assert x == pytest.approx([0.71, 0.99])
        assert y == [0.5, 1.0]
        assert line(axes, "calibrated") == ([0, 1], [0, 1])
        assert axes.get_title() == (  # (|0.71 - 0.5| + |0.99 - 1|) / 2, and 0.85 - 0.75
            "ECE 0.110: confidence is 10.0 points above accuracy, 4 predictions"
        )

    @pytest.mark.parametrize(
        ("result", "bins", "title", "starts"),
        [
            ([[0.6, 0.4]], 10, "ECE 0.400: confidence is 40.0 points below accuracy", [0.6]),
            ([[1.0, 0.0]], 10, "ECE 0.000: confidence is 0.0 points below accuracy, 1", [0.9]),
            ([[0.5, 0.5], [1, 0]], 2, "ECE 0.250", [0.5]),  # an interval is open on the right
            (RESULT, 1, "ECE 0.100", [0]),
        ],
    )
    def test_titles(self, result, bins, title, starts):
        axes = plot.reliability(of_probabilities(result), self.TARGET[: len(result)], bins=bins)
        assert axes.get_title().startswith(title)
        assert [bar.get_x() for bar in axes.patches] == pytest.approx(starts)

    @pytest.mark.parametrize("dims", [(), (2, 3)])
    def test_every_prediction_is_counted(self, dims):
        r, target = noisy(dims=dims)
        axes = plot.reliability(r, target)
        assert f"{target.numel()} predictions" in axes.get_title()
        confidence, right = r.mean.amax(1).flatten(), (r.mean.argmax(1) == target).flatten()
        place = (confidence * 15).floor().clamp(max=14)
        error = sum(
            (confidence[place == b].sum() - right[place == b].sum()).abs() for b in range(15)
        )
        shown = float(re.match(r"ECE ([\d.]+)", axes.get_title())[1])
        assert shown == pytest.approx(error.item() / target.numel(), abs=6e-4)


class TestEntropy:
    def test_right_and_wrong_in_their_bins(self):
        sure, unsure = [0.999, 0.001], [0.5001, 0.4999]
        r = of_probabilities([sure, sure, unsure, unsure, sure])
        axes = plot.entropy(r, torch.tensor([0, 0, 1, 1, 1]), bins=4)
        right, wrong = axes.containers
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert {"right: 2", "wrong: 3"} < set(labels)
        width = math.log(2) / 4
        shares = [[b.get_height() * width for b in bars] for bars in (right, wrong)]
        assert shares[0] == pytest.approx([1, 0, 0, 0])
        assert shares[1] == pytest.approx([1 / 3, 0, 0, 2 / 3])
        assert right.patches[-1].get_x() == pytest.approx(3 * width)
        x, _ = line(axes, "all classes equally probable")
        assert x[0] == pytest.approx(math.log(2))
        # Of 6 pairs 4 are larger and 2 ties: 5 / 6.
        assert axes.get_title() == "A wrong prediction has the larger entropy in 83 % of pairs"

    @pytest.mark.parametrize(
        ("target", "words"), [([0, 0], "2 predictions are right"), ([1, 1], "wrong")]
    )
    def test_only_right_or_only_wrong(self, target, words):
        """Equal probabilities are in the last bin."""
        axes = plot.entropy(of_probabilities([[0.5, 0.5]] * 2), torch.tensor(target), bins=3)
        assert words in axes.get_title()
        (bars,) = axes.containers
        assert [b.get_height() > 0 for b in bars] == [False, False, True]


class TestConvergence:
    Y = torch.tensor([[0.0, 4.0], [2.0, 4.0], [4.0, 10.0]])  # running means 0 4, 1 4, 2 6

    def test_from_samples(self):
        r = RegressionStatistics(keep_samples=True).update(self.Y).result()
        axes = plot.convergence(r)
        x, y = line(axes, "measured")
        assert x == [1, 2]
        assert y == pytest.approx([2, math.sqrt(2.5)])
        s2 = (4 + 12) / 2  # unbiased variances of the two outputs
        x, y = line(axes, "expected of independent passes")
        assert x == [1, 2]
        assert y == pytest.approx([math.sqrt(s2 * (1 - 1 / 3)), math.sqrt(s2 * (1 / 2 - 1 / 3))])
        assert axes.get_title() == (
            f"After 3 passes the standard error of the mean is {math.sqrt(s2 / 3):.2g}"
        )
        assert axes.get_xscale() == axes.get_yscale() == "log"

    def test_from_recorded_means(self):
        statistics = RegressionStatistics(record_means=True)
        for chunk in self.Y.split([2, 1]):
            statistics.update(chunk)
        axes = plot.convergence(statistics.result())
        assert line(axes, "measured")[0] == [2]
        assert line(axes, "measured")[1] == pytest.approx([math.sqrt(2.5)])

    def test_passes_that_share_their_masks_are_far_above(self):
        y = torch.randn(20, 5000, generator=generator())
        for passes in (y, y.repeat_interleave(10, 0)):
            statistics = RegressionStatistics(keep_samples=True).update(passes)
            axes = plot.convergence(statistics.result())
            measured, expected = (
                line(axes, label)[1] for label in ("measured", "expected of independent passes")
            )
            if passes is y:
                assert measured == pytest.approx(expected, rel=0.05)
        assert measured[50] > 2 * expected[50]

    def test_of_classes(self):
        logits = torch.randn(10, 5, 3, generator=generator())
        r = ClassificationStatistics(keep_samples=True).update(logits).result()
        x, y = line(plot.convergence(r), "measured")
        p = logits.softmax(-1)
        means = [p[: int(n)].mean(0) for n in x]
        expected = [(mean - p.mean(0)).square().mean().sqrt().item() for mean in means]
        assert y == pytest.approx(expected, rel=1e-4)

    @pytest.mark.parametrize(
        ("chunks", "options"),
        [
            ([[1.0] * 5], {"keep_samples": True}),
            # Means of the first passes that differ by rounding, with a variance of 0.
            ([[0.1]] * 7, {"keep_samples": True}),
            # The mean of all passes after the first update, with a variance.
            ([[0.0, 2.0], [1.0, 1.0]], {"record_means": True}),
        ],
    )
    def test_a_logarithm_of_0_is_not_drawn(self, chunks, options):
        statistics = RegressionStatistics(**options)
        for chunk in chunks:
            statistics.update(torch.tensor(chunk, dtype=torch.float64)[:, None])
        assert plot.convergence(statistics.result()).get_yscale() == "linear"


R, TARGET = of_probabilities([[0.9, 0.1], [0.8, 0.2]]), torch.tensor([0, 1])
VALUES = RegressionStatistics().update(torch.ones(3, 2)).result()


@pytest.mark.parametrize("draw", [plot.reliability, plot.entropy])
@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((VALUES, TARGET), {}, AttributeError, "belongs to task='classification'"),
        ((3, TARGET), {}, TypeError, r"got result=3 \(int\)"),
        ((R, [0, 1]), {}, TypeError, "`target` to be a tensor of integers"),
        ((R, TARGET.float()), {}, TypeError, "`target` to be a tensor of integers"),
        ((R, TARGET.bool()), {}, TypeError, "`target` to be a tensor of integers"),
        ((R, TARGET[:1]), {}, ValueError, r"shape \(2,\) of the predictions"),
        ((R, TARGET + 1), {}, ValueError, r"classes in \[0, 2\)"),
        ((R, TARGET - 1), {}, ValueError, r"classes in \[0, 2\)"),
        ((of_probabilities(torch.ones(0, 2)), TARGET[:0]), {}, ValueError, "at least one"),
        ((R, TARGET), {"bins": 0}, ValueError, r"got bins=0 \(int\)"),
        ((R, TARGET), {"bins": 2.0}, TypeError, r"got bins=2.0 \(float\)"),
        ((R, TARGET), {"ax": "main"}, TypeError, r"got ax='main' \(str\)"),
    ],
)
def test_refused(draw, arguments, options, error, words):
    with pytest.raises(error, match=words):
        draw(*arguments, **options)
    assert not pyplot.get_fignums()


def of_ones(*shape, **options):
    return RegressionStatistics(**options).update(torch.ones(shape)).result()


@pytest.mark.parametrize(
    ("result", "error", "words"),
    [
        (VALUES, AttributeError, "keep_samples=True or record_means=True"),
        (of_ones(1, 2, keep_samples=True), ValueError, "2 passes"),
        (of_ones(4, 2, record_means=True), ValueError, "2 updates"),
        (of_ones(4, 0, keep_samples=True), ValueError, "one input"),
        ("r", TypeError, r"got result='r' \(str\)"),
    ],
)
def test_a_convergence_is_refused(result, error, words):
    with pytest.raises(error, match=words):
        plot.convergence(result)
    assert not pyplot.get_fignums()


def test_the_axes_given_are_drawn_on_and_returned():
    axes = Figure().subplots(3)
    assert plot.reliability(R, TARGET, ax=axes[0]) is axes[0]
    assert plot.entropy(R, TARGET, ax=axes[1]) is axes[1]
    r = RegressionStatistics(keep_samples=True).update(torch.eye(3)).result()
    assert plot.convergence(r, ax=axes[2]) is axes[2]
    assert all(one.get_title() and one.get_xlabel() and one.get_ylabel() for one in axes)
    assert all(one.get_legend() for one in axes)
    assert len(axes[1].containers[0]) == 20  # as its docstring says
    assert not pyplot.get_fignums()


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("matplotlib", "^torchdropout.mc.plot needs matplotlib: pip install matplotlib$"),
        ("kiwisolver", "No module named 'kiwisolver'"),  # a broken matplotlib says so itself
    ],
)
def test_without_matplotlib_the_error_says_what_to_install(monkeypatch, missing, words):
    original = builtins.__import__

    def importer(module, *rest, **options):
        if module.partition(".")[0] == "matplotlib":
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return original(module, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", importer)
    with pytest.raises(ImportError, match=words):
        plot.reliability(R, TARGET)
