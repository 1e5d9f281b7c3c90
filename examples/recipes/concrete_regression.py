"""Concrete dropout learns its p on a regression in one dimension, as in the paper's experiment.

    python examples/recipes/concrete_regression.py --out FOLDER   # all runs, figures, the plot
    python examples/recipes/concrete_regression.py --quick        # a small run, in seconds

Data: y = 2x + 8 + e, with x and e standard normal, 10 to 1000 points. The model has four linear
layers, predicts the mean of y and the logarithm of its variance, and has a dropout before each but
the first: concrete, with a fixed p = 0.1, or none. Each is trained on five data sets, in parallel
under `torch.func.vmap`, and evaluated on 1000 new points by the mean of 20 stochastic passes.
"""

from __future__ import annotations

import argparse
import csv
import math
from pathlib import Path

import torch
from scipy import stats
from torch.func import functional_call, stack_module_state, vmap

import torchdropout as td

KINDS = ("concrete dropout", "dropout, p = 0.1", "no dropout")
SIZES = (10, 30, 100, 300, 1000)
SEEDS, WIDTH, STEPS, BATCH, PASSES, TEST = 5, 64, 500, 50, 20, 1000
LENGTH = 1e-4  # length of the prior, as in the paper's code

Result = dict[str, list[float]]


class Regression(torch.nn.Module):
    """Predicts the mean and the log variance of y, and what the dropouts add to the loss."""

    def __init__(self, kind: str, points: int) -> None:
        super().__init__()

        def dropped(layer: torch.nn.Linear) -> torch.nn.Module:
            if kind == "concrete dropout":
                return td.nn.ConcreteDropout(layer, LENGTH**2 / points, 2 / points)
            if kind == "no dropout":
                return layer
            return torch.nn.Sequential(td.nn.Dropout(0.1), layer)

        self.net = torch.nn.Sequential(
            torch.nn.Linear(1, WIDTH),
            torch.nn.ReLU(),
            dropped(torch.nn.Linear(WIDTH, WIDTH)),
            torch.nn.ReLU(),
            dropped(torch.nn.Linear(WIDTH, WIDTH)),
            torch.nn.ReLU(),
            dropped(torch.nn.Linear(WIDTH, 2)),
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Predict for x of shape `(N,)`."""
        mean, log_variance = self.net(x[:, None]).unbind(-1)
        return mean, log_variance, td.nn.regularisation(self)


def sample(points: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A data set for each seed."""
    x = torch.randn(SEEDS, points)
    return x, 2 * x + 8 + torch.randn(SEEDS, points)


def log_density(y: torch.Tensor, mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """The logarithm of a normal density."""
    squares = (y - mean) ** 2 * (-log_variance).exp()
    return -0.5 * (squares + log_variance + math.log(2 * math.pi))


def train(kind: str, points: int, steps: int, passes: int) -> Result:
    """Train on each seed's data, and evaluate; one number for each seed."""
    torch.manual_seed(points)
    models = [Regression(kind, points) for _ in range(SEEDS)]
    parameters, buffers = stack_module_state(models)
    one = models[0]

    def predict(parameters: dict[str, torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found: tuple[torch.Tensor, ...] = functional_call(one, (parameters, buffers), (x,))
        return found

    run = vmap(predict, randomness="different")
    logits = [v for name, v in parameters.items() if name.endswith("p_logit")]
    others = [v for name, v in parameters.items() if not name.endswith("p_logit")]
    groups = [{"params": others, "lr": 0.01}, {"params": logits, "lr": 0.05}]
    optimizer = torch.optim.Adam([group for group in groups if group["params"]])
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    x, y = sample(points)
    for _ in range(steps):
        index = torch.randint(points, (SEEDS, BATCH)) if points > BATCH else None
        xs, ys = (x, y) if index is None else (x.gather(1, index), y.gather(1, index))
        mean, log_variance, penalty = run(parameters, xs)
        # Twice the negative log-likelihood, to match the factors 2 / N and l^2 / N.
        loss = ((ys - mean) ** 2 * (-log_variance).exp() + log_variance).mean(1) + penalty
        optimizer.zero_grad()
        loss.sum().backward()  # each seed's parameters have the gradient of its own term
        optimizer.step()
        slower.step()
    x, y = sample(TEST)
    with torch.no_grad():
        drawn = [run(parameters, x) for _ in range(passes)]
    means = torch.stack([mean for mean, _, _ in drawn])
    log_variances = torch.stack([log_variance for _, log_variance, _ in drawn])
    found = log_density(y, means, log_variances).logsumexp(0) - math.log(passes)
    truth = log_density(y, 2 * x + 8, torch.zeros(()))
    result = {
        "spread of the mean": means.var(0).mean(1).sqrt(),
        "noise found": log_variances.exp().mean((0, 2)).sqrt(),
        "excess loss": (truth - found).mean(1),
    }
    for place, logit in enumerate(logits, 1):
        result[f"p {place}"] = logit.detach().sigmoid().squeeze(1)
    return {name: values.tolist() for name, values in result.items()}


def interval(values: list[float], *, log: bool = False) -> tuple[float, float, float]:
    """Mean and 95 % t interval; with `log` those of the logarithms, and so the geometric mean."""
    x = torch.tensor(values, dtype=torch.float64)
    x = x.log() if log else x
    half = float(stats.t.ppf(0.975, len(values) - 1)) * x.std().item() / math.sqrt(len(values))
    three = [x.mean().item(), x.mean().item() - half, x.mean().item() + half]
    low, middle, high = sorted(math.exp(v) if log else v for v in three)
    return middle, low, high


def table(results: dict[tuple[str, int], Result]) -> str:
    """A Markdown table with the mean and interval of each measure."""
    rows = [
        "| points | model | p before the layers 2, 3, 4 | noise found (truth 1) "
        "| spread of the mean | excess loss |",
        "|---|---|---|---|---|---|",
    ]
    for (kind, points), result in results.items():
        ps = [interval(result[name])[0] for name in result if name.startswith("p ")]
        cells = [f"{points}", kind, ", ".join(f"{p:.3f}" for p in ps)]
        cells.append("{:.2f} [{:.2f}, {:.2f}]".format(*interval(result["noise found"])))
        cells.append("{:.2f} [{:.2f}, {:.2f}]".format(*interval(result["spread of the mean"])))
        cells.append("{:.2g} [{:.2g}, {:.2g}]".format(*interval(result["excess loss"], log=True)))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def finding(results: dict[tuple[str, int], Result]) -> tuple[str, str, str]:
    """The findings in words, one for each panel."""
    concrete, fixed, none = KINDS
    few, many = min(n for _, n in results), max(n for _, n in results)

    def mean(kind: str, points: int, name: str) -> float:
        return interval(results[kind, points][name], log=name == "excess loss")[0]

    ps = [sum(mean(concrete, n, f"p {i}") for i in (1, 2, 3)) / 3 for n in (few, many)]
    spreads = [mean(kind, many, "spread of the mean") for kind in (concrete, fixed)]
    excess = {at: mean(*at, "excess loss") for at in results}
    return (
        f"p falls from {ps[0]:.2g} to {ps[1]:.2g} as data grow",
        f"at {many} points the mean is spread {spreads[0]:.2g};\nunder a fixed p, {spreads[1]:.2g}",
        f"at {few} points {excess[concrete, few]:.2g}, {excess[none, few]:.0e} without dropout;\n"
        f"at {many} {excess[concrete, many]:.2g}, {excess[fixed, many]:.2g} under a fixed p",
    )


def draw(results: dict[tuple[str, int], Result], path: Path) -> None:
    """Draw three panels over the number of points: p, the spread of the mean, the excess loss."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt
    from matplotlib.axes import Axes

    mpl.rcParams.update({"svg.hashsalt": "concrete_regression", "font.size": 9})
    sizes = sorted({points for _, points in results})
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")

    def line(axes: Axes, kind: str, name: str, label: str, colour: str) -> None:
        log = name == "excess loss"
        three = [interval(results[kind, n][name], log=log) for n in sizes]
        middle, low, high = zip(*three, strict=True)
        axes.plot(sizes, middle, "o-", label=label, color=colour, markersize=4)
        axes.fill_between(sizes, low, high, color=colour, alpha=0.2, linewidth=0)

    for place, colour in zip((1, 2, 3), ("#0072b2", "#56b4e9", "#009e73"), strict=True):
        line(panels[0], KINDS[0], f"p {place}", f"before layer {place + 1}", colour)
    panels[0].axhline(0.5, color="#777777", linestyle=":", label="without data")
    panels[0].set(ylabel="learned p", ylim=(0, 0.55))
    colours = dict(zip(KINDS, ("#0072b2", "#d55e00", "#777777"), strict=True))
    for kind in KINDS:
        line(panels[1], kind, "spread of the mean", kind, colours[kind])
        line(panels[2], kind, "excess loss", kind, colours[kind])
    panels[1].set(ylabel="spread of the mean over passes", ylim=(0, None))
    # The loss of a model without dropout on few points is off the scale; it is in the table.
    panels[2].set(ylabel="excess test loss (nats)", yscale="log", ylim=(4e-3, 1e2))
    for axes, title in zip(panels, finding(results), strict=True):
        axes.set_title(title, fontsize=9)
        axes.set(xscale="log", xlabel="training points")
        axes.grid(alpha=0.3)
    panels[0].legend(fontsize=8)
    panels[1].legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def write(results: dict[tuple[str, int], Result], folder: Path) -> None:
    """Write a CSV file with one number per line, and the plot."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "concrete_regression.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("model", "points", "measure", "seed", "value"))
        for (kind, points), result in results.items():
            for name, values in result.items():
                for seed, value in enumerate(values):
                    writer.writerow((kind, points, name, seed, f"{value:.6g}"))
    draw(results, folder / "concrete_regression.svg")


def main(arguments: list[str] | None = None) -> None:
    """Train, print the table, keep the figures and the plot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two sizes and few steps")
    parser.add_argument("--out", type=Path, help="folder of the CSV file and the plot")
    options = parser.parse_args(arguments)
    sizes, steps, passes = ((10, 100), 4, 2) if options.quick else (SIZES, STEPS, PASSES)
    results = {(kind, n): train(kind, n, steps, passes) for n in sizes for kind in KINDS}
    print(table(results))
    if options.out is not None:
        write(results, options.out)


if __name__ == "__main__":
    main()
