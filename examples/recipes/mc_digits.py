"""Monte-Carlo dropout on digits that turn: uncertainty where the training data end.

    python examples/recipes/mc_digits.py --out FOLDER   # 5 seeds, the table, figures, the plot
    python examples/recipes/mc_digits.py --quick        # 2 seeds and few steps, in seconds

A network with dropout is trained on scikit-learn's digits as they are, and evaluated on test digits
that are rotated by 0 to 180 degrees: by 50 stochastic passes, and in eval.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

import torchdropout as td

SIDE, CLASSES, WIDTH, P = 8, 10, 128, 0.5
TRAIN, BATCH, EPOCHS, SEEDS, PASSES = 1000, 100, 60, 5, 50
ANGLES = (0, 15, 30, 45, 60, 75, 90, 120, 150, 180)
MEASURES = (
    "accuracy",
    "accuracy in eval",
    "ECE",
    "ECE in eval",
    "predictive entropy",
    "entropy in eval",
    "mutual information",
    "wrong found by entropy",
    "wrong found by entropy in eval",
    "wrong found by mutual information",
)
Figures = dict[str, dict[int, list[float]]]  # measure, angle, one number per seed


def network() -> nn.Sequential:
    """Two hidden layers, with dropout after each."""
    return nn.Sequential(
        *(nn.Flatten(-2), nn.Linear(SIDE * SIDE, WIDTH), nn.ReLU(), td.nn.Dropout(P)),
        *(nn.Linear(WIDTH, WIDTH), nn.ReLU(), td.nn.Dropout(P), nn.Linear(WIDTH, CLASSES)),
    )


def data(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images `(N, 8, 8)` in [-1, 1] and classes, for training and for the test."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32) / 8 - 1
    classes = torch.tensor(digits.target)
    order = torch.randperm(len(classes), generator=torch.Generator().manual_seed(seed))
    first, rest = order[:TRAIN], order[TRAIN:]
    return images[first], classes[first], images[rest], classes[rest]


def rotate(images: torch.Tensor, degrees: float) -> torch.Tensor:
    """Images turned anticlockwise, bilinear; what comes from outside is background."""
    a = math.radians(degrees)
    matrix = torch.tensor([[math.cos(a), -math.sin(a), 0.0], [math.sin(a), math.cos(a), 0.0]])
    grid = F.affine_grid(matrix.expand(len(images), 2, 3), (len(images), 1, SIDE, SIDE), False)
    return F.grid_sample(images[:, None] + 1, grid, align_corners=False)[:, 0] - 1


def train(images: torch.Tensor, classes: torch.Tensor, epochs: int) -> nn.Module:
    """A network trained with Adam on batches in random order."""
    model = network().train()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(epochs):
        for place in torch.randperm(len(classes)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(images[place]), classes[place]).backward()
            optimizer.step()
    return model.eval()


def calibration(r: td.mc.Result, classes: torch.Tensor, bins: int = 15) -> float:
    """The expected calibration error, as `mc.plot.reliability` has it."""
    confidence, right = r.mean.amax(1), (r.prediction == classes).double()
    place = (confidence * bins).long().clamp(max=bins - 1)
    gaps = torch.bincount(place, confidence.double() - right, bins)
    return gaps.abs().sum().item() / len(classes)


def found(score: torch.Tensor, wrong: torch.Tensor) -> float:
    """How often a wrong prediction has a larger score than a right one: the area under the ROC."""
    above = score[wrong][:, None] - score[~wrong]
    return (above.sign() / 2 + 0.5).mean().item()


def evaluate(model: nn.Module, x: torch.Tensor, classes: torch.Tensor, passes: int) -> list[float]:
    """The measures in their order."""
    r = td.mc.MCDropout(model, passes)(x)
    with torch.no_grad():
        plain = td.mc.ClassificationStatistics().update(model(x)[None]).result()
    wrong, wrong_in_eval = (one.prediction != classes for one in (r, plain))
    return [
        *(1 - one.double().mean().item() for one in (wrong, wrong_in_eval)),
        *(calibration(one, classes) for one in (r, plain)),
        *(one.predictive_entropy.mean().item() for one in (r, plain)),
        r.mutual_information.mean().item(),
        found(r.predictive_entropy, wrong),
        found(plain.predictive_entropy, wrong_in_eval),
        found(r.mutual_information, wrong),
    ]


def run(seeds: int, epochs: int, passes: int) -> Figures:
    """Train on each seed and evaluate at each angle."""
    figures: Figures = {measure: {angle: [] for angle in ANGLES} for measure in MEASURES}
    for seed in range(seeds):
        torch.manual_seed(seed)
        images, classes, test, test_classes = data(seed)
        model = train(images, classes, epochs)
        for angle in ANGLES:
            values = evaluate(model, rotate(test, angle), test_classes, passes)
            for measure, value in zip(MEASURES, values, strict=True):
                figures[measure][angle].append(value)
    return figures


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def table(figures: Figures) -> str:
    """A Markdown table with the mean over the seeds of each measure at each angle."""
    rows = [f"| degrees | {' | '.join(MEASURES)} |", "|---" * (len(MEASURES) + 1) + "|"]
    for angle in ANGLES:
        cells = [f"{mean(figures[measure][angle]):.2f}" for measure in MEASURES]
        rows.append(f"| {angle} | {' | '.join(cells)} |")
    return "\n".join(rows)


def findings(figures: Mapping[str, Mapping[int, Sequence[float]]]) -> tuple[str, str, str]:
    """What each panel shows, in words."""

    def at(measure: str, angle: int) -> float:
        return mean(figures[measure][angle])

    first, last = ANGLES[0], 90
    peak = max(ANGLES, key=lambda angle: at("predictive entropy", angle))
    return (
        f"accuracy falls from {at('accuracy', first):.2f} to {at('accuracy', last):.2f}\n"
        f"at {last} degrees, in eval to {at('accuracy in eval', last):.2f}",
        f"entropy is largest at {peak} degrees, {at('predictive entropy', peak):.2f} nats;\n"
        f"at {last} degrees it is {at('predictive entropy', last):.2f}, in eval "
        f"{at('entropy in eval', last):.2f}",
        f"at {last} degrees the calibration error is {at('ECE', last):.2f},\n"
        f"in eval {at('ECE in eval', last):.2f}",
    )


PANELS = (
    ("accuracy", ("accuracy", "accuracy in eval"), 1.0),
    (
        "mean over test digits (nats)",
        ("predictive entropy", "entropy in eval", "mutual information"),
        math.log(CLASSES),
    ),
    ("expected calibration error", ("ECE", "ECE in eval"), 0.0),
)


def draw(figures: Mapping[str, Mapping[int, Sequence[float]]], path: Path) -> None:
    """Draw accuracy, entropies and calibration error over the angle."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "mc_digits", "font.size": 9})
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
    for axes, title, (label, measures, ideal) in zip(
        panels, findings(figures), PANELS, strict=True
    ):
        for measure, colour in zip(measures, ("#0072b2", "#d55e00", "#009e73"), strict=False):
            of_angles = [figures[measure][angle] for angle in ANGLES]
            axes.plot(ANGLES, list(map(mean, of_angles)), "o-", color=colour, label=measure)
            low, high = list(map(min, of_angles)), list(map(max, of_angles))
            axes.fill_between(ANGLES, low, high, color=colour, alpha=0.2, linewidth=0)
        words = "all classes equally probable" if "nats" in label else "best possible"
        axes.axhline(ideal, color="#777777", linestyle=":", label=words)
        axes.set(xlabel="rotation (degrees)", ylabel=label, ylim=(0, None))
        axes.set_title(title, fontsize=9)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def write(figures: Figures, folder: Path) -> None:
    """Write a CSV file with one number per line, and the plot."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "mc_digits.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("measure", "degrees", "seed", "value"))
        for measure, of_angles in figures.items():
            for angle, values in of_angles.items():
                for seed, value in enumerate(values):
                    writer.writerow((measure, angle, seed, f"{value:.6g}"))
    draw(figures, folder / "recipe-mc_digits.svg")


def main(arguments: list[str] | None = None) -> None:
    """Train, print the table, keep the figures and the plot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two seeds and few steps")
    parser.add_argument("--out", type=Path, help="folder of the CSV file and the plot")
    options = parser.parse_args(arguments)
    figures = run(2, 2, 5) if options.quick else run(SEEDS, EPOCHS, PASSES)
    print(table(figures))
    if options.out is not None:
        write(figures, options.out)


if __name__ == "__main__":
    main()
