"""A language model with and without the dropouts of AWD-LSTM, on Python's own manual.

    python examples/recipes/language_model.py --out FOLDER  # five seeds of each, and the plot
    python examples/recipes/language_model.py --quick       # a small run, in seconds

The text is `pydoc_data.topics`, which comes with every Python: the pages behind `help("for")`. The
model is a small version of that of Merity et al. (ICLR 2018): an embedding with whole words
dropped, two LSTM layers with dropped recurrent weights, locked dropout of their input, between them
and of their output, and a decoder tied to the embedding.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import math
import platform
import re
import statistics
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from pydoc_data.topics import topics
from typing import NamedTuple

import torch

import torchdropout as td

BATCH, STEPS = 10, 35
# Two-sided, 95 %, by degrees of freedom.
STUDENT = {
    1: 12.706,
    2: 4.303,
    3: 3.182,
    4: 2.776,
    5: 2.571,
    6: 2.447,
    7: 2.365,
    8: 2.306,
    9: 2.262,
}


class Rates(NamedTuple):
    """Which parts are dropped, and with which probabilities."""

    words: float = 0.0
    input: float = 0.0
    between: float = 0.0
    output: float = 0.0
    weights: float = 0.0
    zoneout: float = 0.0


VARIANTS = {
    "no dropout": Rates(),
    "AWD-LSTM": Rates(words=0.1, input=0.3, between=0.25, output=0.4, weights=0.5),
    "zoneout": Rates(words=0.1, input=0.3, between=0.25, output=0.4, zoneout=0.2),
}


class Job(NamedTuple):
    """One training run."""

    variant: str
    seed: int
    epochs: int
    features: int
    words: int


class LanguageModel(torch.nn.Module):
    """Maps words to the logits of the next words."""

    def __init__(self, words: int, features: int, rates: Rates) -> None:
        super().__init__()
        embedding = torch.nn.Embedding(words, features)
        torch.nn.init.uniform_(embedding.weight, -0.1, 0.1)
        self.embedding = td.nn.EmbeddingDropout(embedding, rates.words)
        lstm = td.nn.LSTM(
            features,
            features,
            num_layers=2,
            dropout=rates.between,
            locked=True,
            input_dropout=rates.input,
            zoneout_hidden=rates.zoneout,
            zoneout_cell=rates.zoneout,
        )
        self.lstm = td.nn.WeightDrop(lstm, rates.weights, ("weight_hh_l0", "weight_hh_l1"))
        self.output = td.nn.LockedDropout(rates.output, time_dim=0)
        self.decoder = torch.nn.Linear(features, words)
        self.decoder.weight = embedding.weight

    def forward(self, words, states=None):
        """Logits `(T, N, V)` of words `(T, N)`, and the states after them."""
        y, states = self.lstm(self.embedding(words), states)
        return self.decoder(self.output(y)), states


def corpus(size: int | None) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Words as numbers: for training, for validation, and the size of the vocabulary.

    Each paragraph is used once, though pages quote one another; of each ten runs of 20 paragraphs
    two are for validation. A word with fewer than three occurrences in training is unknown.
    """
    paragraphs = dict.fromkeys(
        paragraph.strip() for page in topics.values() for paragraph in page.split("\n\n")
    )
    parts: tuple[list[str], list[str]] = ([], [])
    for number, paragraph in enumerate(paragraphs):
        tokens = re.findall(r"\w+|[^\w\s]", paragraph.lower())
        parts[number // 20 % 5 == 4].extend([*tokens, "<end>"])
    train, valid = parts[0][:size], parts[1][: size and size // 4]
    counts = Counter(train)
    known = ["<unknown>", *sorted(word for word, n in counts.items() if n >= 3)]
    numbers = {word: number for number, word in enumerate(known)}
    as_numbers = [torch.tensor([numbers.get(word, 0) for word in part]) for part in (train, valid)]
    return as_numbers[0], as_numbers[1], len(known)


def pieces(words: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Inputs and targets `(T, N)`; each piece continues where the one before ended."""
    length = (len(words) - 1) // BATCH
    grid = words[: length * BATCH + 1]
    x, y = (grid[i : length * BATCH + i].view(BATCH, length).t() for i in (0, 1))
    return list(zip(x.split(STEPS), y.split(STEPS), strict=True))


def loss_of(model, batches, optimiser=None) -> float:
    """The mean loss of a pass over a text, in nats per word; with an optimiser, train."""
    model.train(optimiser is not None)
    total, count, states = 0.0, 0, None
    with torch.set_grad_enabled(optimiser is not None):
        for x, y in batches:
            logits, states = model(x, states)
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
            states = tuple(state.detach() for state in states)
            if optimiser is not None:
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
                optimiser.step()
            total, count = total + loss.item() * y.numel(), count + y.numel()
    return total / count


def run(job: Job) -> tuple[list[tuple[float, float]], float]:
    """Run a training: the losses after each epoch, on both texts in eval, and its CPU seconds."""
    torch.set_num_threads(1)
    torch.manual_seed(job.seed)
    began = time.process_time()
    train, valid, words = corpus(job.words)
    model = LanguageModel(words, job.features, VARIANTS[job.variant])
    optimiser = torch.optim.Adam(model.parameters(), lr=7e-3)
    losses = []
    for _ in range(job.epochs):
        loss_of(model, pieces(train), optimiser)
        losses.append((loss_of(model, pieces(train)), loss_of(model, pieces(valid))))
    return losses, time.process_time() - began


def interval(values: list[float]) -> tuple[float, float]:
    """The mean, and half of its 95 % interval by Student's t."""
    if len(values) < 2:
        return values[0], math.nan
    error = statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values), STUDENT[len(values) - 1] * error


def plot(rows: list[dict[str, str]], path: Path) -> None:
    """Draw the validation loss over epochs: the mean of the seeds and its interval."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "torchdropout"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    last = {}
    for name in dict.fromkeys(row["variant"] for row in rows):
        epochs = sorted({int(row["epoch"]) for row in rows})
        found = [
            interval(
                [
                    float(row["validation"])
                    for row in rows
                    if row["variant"] == name and int(row["epoch"]) == epoch
                ]
            )
            for epoch in epochs
        ]
        means = [mean for mean, _ in found]
        (line,) = axes.plot(epochs, means, label=name)
        axes.fill_between(
            epochs,
            [m - h for m, h in found],
            [m + h for m, h in found],
            color=line.get_color(),
            alpha=0.25,
            linewidth=0,
        )
        last[name] = (min(means), means[-1])
    best, end = last["no dropout"]
    finding = (
        f"Without dropout the loss is {best:.2f} at its best and {end:.2f} at the end; "
        f"with AWD-LSTM's it ends at {last['AWD-LSTM'][1]:.2f}"
    )
    axes.set_title(finding, fontsize=9)
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation loss (nats a word)")
    axes.legend(title="mean of the seeds, 95 % interval", fontsize=8, title_fontsize=8)
    axes.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None})


def main(arguments: list[str] | None = None) -> None:
    """Run the variants, print their losses, and keep them with their plot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one seed, a small text, two epochs")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=35)
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument("--out", type=Path, help="folder of the CSV file and the plot")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS)[:2])
    options = parser.parse_args(arguments)
    seeds, epochs, features, size = options.seeds, options.epochs, 96, 12000
    if options.quick:
        seeds, epochs, features, size = 1, 2, 32, 4000
    train, valid, words = corpus(size)
    print(
        f"Python {platform.python_version()}, torch {torch.__version__}: {len(train)} words of "
        f"training, {len(valid)} of validation, {words} different ones"
    )
    jobs = [
        Job(name, seed, epochs, features, size)
        for seed in range(seeds)
        for name in options.variants
    ]
    rows = []
    ends: dict[str, list[tuple[float, float]]] = {name: [] for name in options.variants}
    with contextlib.ExitStack() as stack:
        each = map
        if options.jobs > 1:
            each = stack.enter_context(ProcessPoolExecutor(options.jobs)).map
        for job, (losses, took) in zip(jobs, each(run, jobs), strict=True):
            for epoch, (on_train, on_valid) in enumerate(losses, 1):
                rows.append(
                    {
                        "variant": job.variant,
                        "seed": str(job.seed),
                        "epoch": str(epoch),
                        "train": f"{on_train:.4f}",
                        "validation": f"{on_valid:.4f}",
                    }
                )
            ends[job.variant].append(losses[-1])
            best = min(on_valid for _, on_valid in losses)
            print(
                f"{job.variant:10}  seed {job.seed}  train {losses[-1][0]:.3f}  validation "
                f"{losses[-1][1]:.3f} (best {best:.3f})  {took:.0f} s of CPU",
                flush=True,
            )
    for name, pairs in ends.items():
        for part, values in zip(("train", "validation"), zip(*pairs, strict=True), strict=True):
            mean, half = interval(list(values))
            print(f"{name:10}  {part} {mean:.3f} +- {half:.3f}")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        with (options.out / "language_model.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        plot(rows, options.out / "language_model.svg")


if __name__ == "__main__":
    main()
