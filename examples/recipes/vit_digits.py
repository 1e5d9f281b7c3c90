"""A small vision transformer on scikit-learn's digits, with this library's dropouts and without.

python examples/recipes/vit_digits.py            5 seeds of each recipe; figures and a plot
python examples/recipes/vit_digits.py --quick    2 seeds, one epoch: a test that it runs
"""

from __future__ import annotations

import argparse
import csv
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib import pyplot as plt
from scipy.stats import t as student
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

import torchdropout as td
from torchdropout.models.schedule import linear_drop_path

SIDE, PATCH, CLASSES = 8, 2, 10
WIDTH, DEPTH, HEADS = 64, 3, 4
TRAIN, BATCH = 400, 50
EVERY = 4  # epochs between two evaluations on the test set
Curve = list[tuple[int, float, float]]  # epoch, test loss, test accuracy


class Block(nn.Module):
    """Attention and a network of two layers, each on a branch that is dropped per sample."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), td.nn.Dropout(p), nn.Linear(4 * WIDTH, WIDTH)
        )
        self.path1, self.path2 = td.nn.DropPath(), td.nn.DropPath()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm1(x)
        x = x + self.path1(self.attention(y, y, y, need_weights=False)[0])
        return x + self.path2(self.mlp(self.norm2(x)))


class ViT(nn.Module):
    """16 patches of 2 x 2 and a class token; tokens are dropped before the first block."""

    def __init__(self, dropout: float, drop_path: float, tokens: float) -> None:
        super().__init__()
        count = (SIDE // PATCH) ** 2
        self.patches = nn.Conv2d(1, WIDTH, PATCH, PATCH)
        self.token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.place = nn.Parameter(torch.randn(1, count + 1, WIDTH) * 0.02)
        self.drop_tokens = td.nn.TokenDropout(tokens, num_prefix_tokens=1)
        self.blocks = nn.Sequential(*(Block(dropout) for _ in range(DEPTH)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)
        linear_drop_path(self.blocks, drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(len(x), -1, -1), x), dim=1) + self.place
        return self.head(self.norm(self.blocks(self.drop_tokens(x)))[:, 0])


RECIPES: dict[str, dict[str, float]] = {
    "no dropout": {"dropout": 0.0, "drop_path": 0.0, "tokens": 0.0},
    "TokenDropout 0.25": {"dropout": 0.0, "drop_path": 0.0, "tokens": 0.25},
    "all three": {"dropout": 0.1, "drop_path": 0.1, "tokens": 0.25},
}
COLOURS = ("#777777", "#009e73", "#d55e00")


def data(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images and classes to train on, and all others to test on; a new split for each seed."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
    classes = torch.tensor(digits.target)
    order = torch.randperm(len(classes), generator=torch.Generator().manual_seed(seed))
    here, there = order[:TRAIN], order[TRAIN:]
    return images[here], classes[here], images[there], classes[there]


def train(seed: int, epochs: int, rates: Mapping[str, float]) -> Curve:
    """Run one training: AdamW, a warm-up and a cosine; evaluate on the test set now and then."""
    images, classes, test_images, test_classes = data(seed)
    torch.manual_seed(seed)
    model = ViT(**rates)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05, fused=True)
    steps = epochs * (TRAIN // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            min(1, (step + 1) / (0.1 * steps)) * (1 + math.cos(math.pi * step / steps)) / 2
        ),
    )
    order = torch.Generator().manual_seed(seed)  # the batches do not depend on the dropouts' draws
    curve = []
    for epoch in range(1, epochs + 1):
        model.train()
        for rows in torch.randperm(TRAIN, generator=order).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(images[rows]), classes[rows]).backward()
            optimizer.step()
            schedule.step()
        if epoch % EVERY != 0 and epoch != epochs:
            continue
        model.eval()
        with torch.no_grad():
            logits = model(test_images)
        right = (logits.argmax(1) == test_classes).float().mean()
        curve.append((epoch, float(F.cross_entropy(logits, test_classes)), float(right)))
    return curve


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and half the width of its 95 % interval by Student's t."""
    half = float(student.ppf(0.975, len(values) - 1)) * statistics.stdev(values)
    return statistics.mean(values), half / math.sqrt(len(values))


def table(curves: Mapping[str, Sequence[Curve]]) -> str:
    """The last epoch, and its paired difference from no dropout, seed by seed."""
    lines = [
        "| | test loss | test accuracy, % | more than without, points |",
        "|---|---|---|---|",
    ]
    plain = curves["no dropout"]
    for name, runs in curves.items():
        loss, loss_half = interval([run[-1][1] for run in runs])
        right, half = interval([100 * run[-1][2] for run in runs])
        pairs = zip(runs, plain, strict=True)
        gain, gain_half = interval([100 * (a[-1][2] - b[-1][2]) for a, b in pairs])
        more = "" if runs is plain else f"{gain:+.2f} ± {gain_half:.2f}"
        lines.append(
            f"| {name} | {loss:.3f} ± {loss_half:.3f} | {right:.2f} ± {half:.2f} | {more} |"
        )
    return "\n".join(lines)


def finding(curves: Mapping[str, Sequence[Curve]]) -> str:
    """The title: how all three compare with none in the last epochs."""
    plain, ours = curves["no dropout"], curves["all three"]
    pairs = list(zip(ours, plain, strict=True))
    gain, half = interval([100 * (a[-1][2] - b[-1][2]) for a, b in pairs])
    low, high = gain - half, gain + half
    what = "more" if low > 0 else "less" if high < 0 else None
    if what is None:
        return f"All three dropouts: {gain:+.1f} ± {half:.1f} points of accuracy, no clear change"
    return f"All three dropouts: {abs(gain):.1f} ± {half:.1f} points {what} of accuracy than none"


def draw(curves: Mapping[str, Sequence[Curve]], path: Path) -> None:
    """Draw loss and accuracy over the epochs: means, and their 95 % intervals."""
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for panel, part, factor, label in (
        (panels[0], 1, 1, "test loss, nats a digit"),
        (panels[1], 2, 100, "test accuracy, %"),
    ):
        for (name, runs), colour in zip(curves.items(), COLOURS, strict=False):
            epochs = [epoch for epoch, _, _ in runs[0]]
            points = [interval([factor * run[i][part] for run in runs]) for i in range(len(epochs))]
            mean = [m for m, _ in points]
            panel.plot(epochs, mean, color=colour, label=name, linewidth=1.4)
            panel.fill_between(
                epochs,
                [m - h for m, h in points],
                [m + h for m, h in points],
                color=colour,
                alpha=0.15,
                linewidth=0,
            )
        panel.set_xlabel("epoch")
        panel.set_ylabel(label)
        panel.spines[["top", "right"]].set_visible(False)
    last = [run[-1] for runs in curves.values() for run in runs]
    panels[0].set_ylim(0, 3 * max(loss for _, loss, _ in last))
    panels[1].set_ylim(100 * min(right for _, _, right in last) - 6, 100)
    panels[1].legend(frameon=False, loc="lower right")
    seeds = len(next(iter(curves.values())))
    figure.suptitle(f"{finding(curves)}\n(mean and 95 % interval of {seeds} seeds)", fontsize=11)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 seeds and 1 epoch")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--out", type=Path, help="a folder for the plot and the curves")
    options = parser.parse_args(arguments)
    seeds, epochs = (2, 1) if options.quick else (options.seeds, options.epochs)
    torch.set_num_threads(1)
    curves: dict[str, list[Curve]] = {}
    longest = 0.0
    for name, rates in RECIPES.items():
        curves[name] = []
        for seed in range(seeds):
            start = time.process_time()
            curves[name].append(train(seed, epochs, rates))
            longest = max(longest, time.process_time() - start)
    print(table(curves))
    print(f"\n{finding(curves)}.")
    print(f"{seeds} seeds, {epochs} epochs; the longest run took {longest:.0f} s of one core.")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        plt.rcParams["svg.hashsalt"] = "vit_digits"
        draw(curves, options.out / "vit_digits.svg")
        with (options.out / "vit_digits.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("recipe", "seed", "epoch", "loss", "accuracy"))
            for name, runs in curves.items():
                for seed, run in enumerate(runs):
                    for epoch, loss, right in run:
                        rows.writerow((name, seed, epoch, f"{loss:.6g}", f"{right:.6g}"))


if __name__ == "__main__":
    main()
