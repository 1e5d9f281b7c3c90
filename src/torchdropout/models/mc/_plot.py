"""Plots of a `Result`. Each returns the matplotlib `Axes`, whose title states what was found."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from ..._core._validate import got, is_integer, wrong_type, wrong_value
from ..._tools.extras import missing
from ...errors import ArgumentValueError, UnavailableError
from ._result import Result

if TYPE_CHECKING:
    import matplotlib.axes

__all__ = ["convergence", "entropy", "reliability"]

_SEEN, _EXPECTED, _WRONG = "#0072b2", "#777777", "#d55e00"  # distinct for the colour-blind too


def reliability(
    result: Result, target: torch.Tensor, *, bins: int = 15, ax: matplotlib.axes.Axes | None = None
) -> matplotlib.axes.Axes:
    """Draw the accuracy over the confidence, with the expected calibration error in the title.

    The confidence of an input is its largest mean probability. The inputs are put into `bins`
    intervals of the same width in [0, 1], open on the right, the last one closed. A bar of each
    interval shows the accuracy in it, at the mean confidence in it; the diagonal, where both are
    the same, is expected of a calibrated model.

    `ECE = sum_b (inputs in b / inputs) * abs(accuracy in b - mean confidence in b)`

    Args:
        result: A classification.
        target: The true classes, `(B, ...)`, integers in the shape of `result.prediction`.
        bins: The number of intervals, 1 or more.
        ax: Where to draw; new axes if None.

    Raises:
        ImportError: matplotlib is not installed.
        ArgumentTypeError: An argument has the wrong type.
        ArgumentValueError: target has another shape or a class that does not exist, there are no
            inputs, or bins is less than 1.
        UnavailableError: The result is a regression.

    Example:
        >>> import torch
        >>> from torchdropout import mc
        >>> logits = torch.randn(20, 100, 3, generator=torch.Generator().manual_seed(0))
        >>> r = mc.ClassificationStatistics().update(logits).result()
        >>> axes = mc.plot.reliability(r, torch.arange(100) % 3)
        >>> axes.get_xlabel()
        'confidence (largest mean probability)'

    Reference:
        C. Guo et al., "On calibration of modern neural networks", ICML 2017.
    """
    _check_result(result)
    _check_bins(bins)
    right = _right(result, target)
    axes = _axes(ax)
    assert result.class_dim is not None
    confidence = result.mean.amax(result.class_dim).double().flatten()
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=confidence.device)
    # The edges inside decide; 1 itself belongs to the last bin.
    place = torch.bucketize(confidence, edges[1:-1].contiguous(), right=True)
    counts = torch.bincount(place, minlength=bins)
    seen = counts > 0
    share = counts[seen].double()
    sure = torch.bincount(place, confidence, bins)[seen] / share
    accurate = torch.bincount(place, right.double(), bins)[seen] / share
    error = ((accurate - sure).abs() * share).sum().item() / len(confidence)
    gap = (confidence.mean() - right.double().mean()).item()

    axes.plot([0, 1], [0, 1], ":", color=_EXPECTED, label="calibrated")
    axes.bar(
        edges[:-1][seen].tolist(),
        accurate.tolist(),
        width=1 / bins,
        align="edge",
        color=_SEEN,
        alpha=0.3,
        label="accuracy in the bin",
    )
    axes.plot(sure.tolist(), accurate.tolist(), "o-", color=_SEEN, label="at its mean confidence")
    word = "above" if gap > 0 else "below"
    finding = f"confidence is {abs(100 * gap):.1f} points {word} accuracy"
    axes.set(
        xlabel="confidence (largest mean probability)",
        ylabel="accuracy",
        xlim=(0, 1),
        ylim=(0, 1),
        title=f"ECE {error:.3f}: {finding}, {len(confidence)} predictions",
    )
    axes.legend()
    return axes


def entropy(
    result: Result, target: torch.Tensor, *, bins: int = 20, ax: matplotlib.axes.Axes | None = None
) -> matplotlib.axes.Axes:
    """Draw the predictive entropies of right and of wrong predictions.

    The title says how often a wrong prediction has a larger entropy than a right one, ties counted
    as half: the area under the ROC curve, 50 % for an uninformative entropy.

    Args:
        result: A classification.
        target: The true classes, `(B, ...)`, integers in the shape of `result.prediction`.
        bins: The number of intervals from 0 to the logarithm of the number of classes.
        ax: Where to draw; new axes if None.

    Raises:
        ImportError: matplotlib is not installed.
        ArgumentTypeError: An argument has the wrong type.
        ArgumentValueError: target has another shape or a class that does not exist, there are no
            inputs, or bins is less than 1.
        UnavailableError: The result is a regression.

    Example:
        >>> import torch
        >>> from torchdropout import mc
        >>> logits = torch.randn(20, 100, 3, generator=torch.Generator().manual_seed(0))
        >>> r = mc.ClassificationStatistics().update(logits).result()
        >>> axes = mc.plot.entropy(r, torch.arange(100) % 3)
        >>> axes.get_xlabel()
        'predictive entropy (nats)'
    """
    _check_result(result)
    _check_bins(bins)
    right = _right(result, target)
    axes = _axes(ax)
    assert result.class_dim is not None
    entropies = result.predictive_entropy.double().flatten()
    largest = math.log(result.mean.shape[result.class_dim])
    for chosen, name, colour in ((right, "right", _SEEN), (~right, "wrong", _WRONG)):
        if bool(chosen.any()):
            axes.hist(
                entropies[chosen].clamp(max=largest).tolist(),  # rounding may pass the logarithm
                bins=bins,
                range=(0, largest),
                density=True,
                color=colour,
                alpha=0.5,
                label=f"{name}: {int(chosen.sum())}",
            )
    axes.axvline(largest, linestyle=":", color=_EXPECTED, label="all classes equally probable")
    axes.set(
        xlabel="predictive entropy (nats)",
        ylabel="density of predictions",
        title=_separation(entropies[right], entropies[~right]),
    )
    axes.legend()
    return axes


def convergence(result: Result, *, ax: matplotlib.axes.Axes | None = None) -> matplotlib.axes.Axes:
    """Draw how far the mean of the first T passes is from that of all N, over T.

    The distance is the root mean square over inputs and outputs. The expectation for independent
    passes with the measured variance is drawn with it:

    `sqrt(mean(s2) * (1 / T - 1 / N))`, over inputs and outputs, with s2 the unbiased variance

    A measured curve far above it means passes that are not independent, such as passes that share
    their masks. The title gives the remaining standard error, `sqrt(mean of s2 / N)`.

    Args:
        result: With kept samples (`keep_samples=True`), or with the means that were recorded after
            each update (`record_means=True`).
        ax: Where to draw; new axes if None.

    Raises:
        ImportError: matplotlib is not installed.
        ArgumentTypeError: result is not a `Result`.
        ArgumentValueError: There are no inputs, or fewer than 2 estimates to compare.
        UnavailableError: Neither samples nor means were kept.

    Example:
        >>> import torch
        >>> from torchdropout import mc
        >>> statistics = mc.RegressionStatistics(record_means=True)
        >>> generator = torch.Generator().manual_seed(0)
        >>> for _ in range(10):
        ...     _ = statistics.update(torch.randn(10, 64, generator=generator))
        >>> mc.plot.convergence(statistics.result()).get_xlabel()
        'passes T'
    """
    _check_result(result)
    if not result.mean.numel():
        wrong_value("result", "of at least one input", result)
    total = result.n_samples
    final = result.mean.double()
    if hasattr(result, "samples"):
        # A single running sum keeps every tensor as small as one pass.
        passes, distances = [], []
        running = torch.zeros_like(final)
        for n, sample in enumerate(result.samples, 1):
            running += sample
            passes.append(n)
            distances.append(_distance(running / n, final))
        passes, distances = passes[:-1], distances[:-1]  # the last is the mean of all passes
    elif result.running_means:
        kept = [(n, mean) for n, mean in result.running_means if n < total]
        passes = [n for n, _ in kept]
        distances = [_distance(mean.double(), final) for _, mean in kept]
    else:
        raise UnavailableError(
            "This result has neither samples nor means of its first passes: keep them with "
            "keep_samples=True or record_means=True."
        )
    if not passes:
        raise ArgumentValueError(
            f"Expected `result` to have means of fewer passes than its {total}, got none "
            f"({type(result).__name__}): a convergence needs at least 2 passes, or 2 updates."
        )
    unbiased = result._value("spread").double().mean().item() * total / (total - 1)
    axes = _axes(ax)
    expected = [math.sqrt(unbiased * (1 / n - 1 / total)) for n in passes]
    axes.plot(passes, expected, ":", color=_EXPECTED, label="expected of independent passes")
    axes.plot(passes, distances, ".-", color=_SEEN, label="measured")
    what = "mean probability" if result.task == "classification" else "mean"
    left = math.sqrt(unbiased / total)
    axes.set(
        xscale="log",
        yscale="log" if any(distances) and unbiased > 0 else "linear",
        xlabel="passes T",
        ylabel=f"distance of the {what} from that of {total}",
        title=f"After {total} passes the standard error of the {what} is {left:.2g}",
    )
    axes.legend()
    return axes


def _check_result(result: Any) -> None:
    if not isinstance(result, Result):
        wrong_type("result", "a Result", result)


def _check_bins(bins: Any) -> None:
    if not is_integer(bins):
        wrong_type("bins", "an integer of 1 or more", bins)
    if bins < 1:
        wrong_value("bins", "an integer of 1 or more", bins)


def _right(result: Result, target: Any) -> torch.Tensor:
    """Which predictions are right, flat; an error if they cannot be compared with the target."""
    prediction = result.prediction
    if not isinstance(target, torch.Tensor) or (
        target.dtype == torch.bool or target.is_floating_point() or target.is_complex()
    ):
        wrong_type("target", "a tensor of integers, the true classes", target)
    if target.shape != prediction.shape or not target.numel():
        raise ArgumentValueError(
            f"Expected `target` to have the shape {tuple(prediction.shape)} of the predictions, "
            f"and at least one, {got('target', target)}."
        )
    assert result.class_dim is not None
    classes = result.mean.shape[result.class_dim]
    if bool(((target < 0) | (target >= classes)).any()):
        wrong_value("target", f"classes in [0, {classes})", target)
    return (prediction == target.to(prediction.device)).flatten()


def _separation(right: torch.Tensor, wrong: torch.Tensor) -> str:
    if not len(right) or not len(wrong):
        return f"All {len(right) + len(wrong)} predictions are {'right' if len(right) else 'wrong'}"
    ordered = right.sort().values
    below = torch.searchsorted(ordered, wrong).double().mean().item()
    not_above = torch.searchsorted(ordered, wrong, right=True).double().mean().item()
    area = (below + not_above) / 2 / len(right)
    return f"A wrong prediction has the larger entropy in {100 * area:.0f} % of pairs"


def _distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return (a - b).square().mean().sqrt().item()


def _axes(ax: Any) -> matplotlib.axes.Axes:
    """The axes given, or new ones."""
    try:
        from matplotlib import pyplot
        from matplotlib.axes import Axes
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise  # installed but broken: its own error says more
        raise ImportError(missing("mc.plot")) from error
    if ax is None:
        return pyplot.subplots(layout="constrained")[1]
    if not isinstance(ax, Axes):
        wrong_type("ax", "a matplotlib Axes", ax)
    return ax
