"""Measure and draw the verifier's power and its false alarms, and write them down.

    python benchmarks/power.py curves        # how often faults of a growing size are found
    python benchmarks/power.py false-alarms  # false alarms on correct dropouts over many seeds
    python benchmarks/power.py plot          # docs/plots/power-*.svg, from the committed results
    python benchmarks/power.py page          # the tables of docs/power.md, from the same

A run that was stopped continues where it stopped.
"""

from __future__ import annotations

import argparse
import csv
import functools
import json
import math
import multiprocessing
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch
from harness import RESULTS, fill, markdown
from scipy.special import betaincinv

from torchdropout.verify import CHECKS, LEVELS, Level, check_subject
from torchdropout.verify.registry import STATISTICAL
from torchdropout.verify.subject import GRID, Subject
from torchdropout.verify.targets import resolve

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
OUT = DOCS / "power"
PLOTS = DOCS / "plots"
RATE = 1e-6
CONFIDENCE = 0.95

# --- Faults: f(x, p, training), each with a size; 0 is none ---------------------------------------


def dropped(x: torch.Tensor, drop: torch.Tensor, p: float) -> torch.Tensor:
    return x.masked_fill(drop, 0).mul_(1 / (1 - p) if p < 1 else 0)


def rate_error(x: torch.Tensor, p: float, training: bool, size: float) -> torch.Tensor:
    return dropped(x, torch.rand(x.shape) < p + size, p) if training else x


def generator_of_numpy() -> np.random.Generator:
    return np.random.default_rng(int(torch.randint(1 << 62, ())))


def correlated(x: torch.Tensor, p: float, training: bool, size: float) -> torch.Tensor:
    """Correlation `size` at lag 1, none at any other: some elements copy a neighbour's draw."""
    if not training:
        return x
    generator = generator_of_numpy()
    draws = generator.random(x.numel() + 1, dtype=np.float32) < p
    copies = generator.random(x.numel(), dtype=np.float32) < (1 - math.sqrt(1 - 4 * size)) / 2
    drop = np.where(copies, draws[:-1], draws[1:])
    return dropped(x, torch.from_numpy(drop).reshape(x.shape), p)


def markov(x: torch.Tensor, p: float, training: bool, size: float) -> torch.Tensor:
    """Correlation `size ** lag` at every lag: an element copies the one before, or draws."""
    if not training:
        return x
    generator = generator_of_numpy()
    draws = generator.random(x.numel(), dtype=np.float32) < p
    copies = generator.random(x.numel(), dtype=np.float32) < size
    source = np.where(copies, 0, np.arange(x.numel()))
    drop = draws[np.maximum.accumulate(source)] if x.numel() else draws
    return dropped(x, torch.from_numpy(drop).reshape(x.shape), p)


class Period(torch.nn.Module):
    """The mask repeats after `size` elements, over all calls of the module."""

    def __init__(self, p: float, size: float) -> None:
        super().__init__()
        self.p, self.period, self.at = p, int(size), 0
        self.tape: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Drop by the next bits on the tape."""
        if not self.training:
            return x
        if self.period == 0:
            return dropped(x, torch.rand(x.shape) < self.p, self.p)
        if self.tape is None:
            self.tape = torch.rand(self.period) < self.p
        places = torch.arange(self.at, self.at + x.numel()) % self.period
        self.at = (self.at + x.numel()) % self.period
        return dropped(x, self.tape[places].reshape(x.shape), self.p)


def pool(x: torch.Tensor, p: float, training: bool, size: float) -> torch.Tensor:
    """Each call uses one of `size` masks."""
    if not training:
        return x
    if not size:
        return dropped(x, torch.rand(x.shape) < p, p)
    generator = torch.Generator().manual_seed(int(torch.randint(int(size), ())))
    return dropped(x, torch.rand(x.shape, generator=generator) < p, p)


def scale_error(x: torch.Tensor, p: float, training: bool, size: float) -> torch.Tensor:
    """Kept values are off by a part `size`, rounded once."""
    if not training:
        return x
    kept = (x.double() * ((1 + size) / (1 - p))).to(x.dtype)
    return kept.masked_fill(torch.rand(x.shape) < p, 0)


def one_class(x: torch.Tensor, p: float, training: bool, size: float, of: int) -> torch.Tensor:
    """The places that are 1 modulo `of` are dropped with probability p + size."""
    if not training:
        return x
    drop = torch.rand(x.numel()) < p
    lane = drop[1::of]
    lane |= torch.rand(lane.shape) < size / (1 - p)
    return dropped(x, drop.reshape(x.shape), p)


def quantised(x: torch.Tensor, p: float, training: bool, size: float) -> torch.Tensor:
    """Rounds p to `size` bits, but not the scale."""
    if not training:
        return x
    held = round(p * 2**size) / 2**size if size and 0 < p < 1 else p
    return dropped(x, torch.rand(x.shape) < held, p)


# --- Curves ---------------------------------------------------------------------------------------

RISING = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25)
FALLING = (0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0)
STEP = (0.5, 0.7, 0.8, 0.9, 1.0, 1.02, 1.1, 2.0)


@dataclass(frozen=True)
class Curve:
    """One kind of fault, and the check that should detect it.

    Args:
        what: The fault in words, with its size left out.
        unit: Unit of the size, for an axis.
        check: The name of the check.
        target: Maps a size to a target; 0 gives a correct one.
        stated: Finds the size of the fault in the text of what a check can detect.
        factors: Sizes to measure, as multiples of the size that the check says it detects.
        smaller: Whether a smaller size is a greater fault.
        at_one_p: Whether the target has a p of its own, at which the check gets the share of the
            false-alarm rate that it has there in the run of a class.
    """

    what: str
    unit: str
    check: str
    target: Callable[[float], Any]
    stated: Callable[[str], float]
    factors: Sequence[float] = RISING
    smaller: bool = False
    at_one_p: bool = False

    def subject(self, size: float) -> Subject:
        """The target with a fault of this size, understood."""
        return resolve(self.target(size))

    @property
    def false_alarm_rate(self) -> float:
        """The false-alarm rate of the run."""
        return RATE / len(GRID) if self.at_one_p else RATE


def number(pattern: str) -> Callable[[str], float]:
    """Read the one number of a pattern from the text of what a check can detect."""

    def read(sees: str) -> float:
        match = re.search(pattern, sees)
        if match is None:
            raise SystemExit(f"expected {pattern!r} in what a check can detect, got {sees!r}")
        return float(match.group(1))

    return read


def _period_seen(sees: str) -> float:
    """Where the first run repeats; runs that begin at the last seven places are not checked."""
    return number(r"repeat in (\d+)")(sees) - number(r"any (\d+) mask bits")(sees) - 7


def _scale_seen(_: str) -> float:
    """`kept-scale` is exact: 3 ulp of float32 at p=.5, where the ulp is smallest for the value."""
    from torchdropout.verify.rounding import ULPS

    return ULPS * 2.0**-24 + 2.0**-25 / 0.5


def _bits_seen(sees: str) -> float:
    """The most bits at which the rounding of some p of the grid is a detectable error."""
    least = {p: number(rf"([\d.e-]+) at p={re.escape(f'{p:.3g}')}(?:\D|$)")(sees) for p in GRID}
    visible = (
        bits
        for bits in range(24, 0, -1)
        if any(abs(round(p * 2**bits) / 2**bits - p) >= least[p] for p in GRID)
    )
    return float(next(visible))


NUMBER = r"([\d.]+(?:e[-+]?\d+)?)"

CURVES: Mapping[str, Curve] = {
    "rate-0.1": Curve(
        "a rate error at p=0.1",
        "error of the rate",
        "drop-rate",
        lambda size: functools.partial(rate_error, p=0.1, size=size),
        number(NUMBER + r" at p=0\.1"),
        at_one_p=True,
    ),
    "rate-0.5": Curve(
        "a rate error at p=0.5",
        "error of the rate",
        "drop-rate",
        lambda size: functools.partial(rate_error, p=0.5, size=size),
        number(NUMBER + r" at p=0\.5"),
        at_one_p=True,
    ),
    "bits": Curve(
        "p held to a number of bits",
        "bits of p",
        "drop-rate",
        lambda size: functools.partial(quantised, size=size),
        _bits_seen,
        factors=(-2, -1, 0, 1, 2, 3),
        smaller=True,
    ),
    "lag-1": Curve(
        "a correlation at lag 1",
        "correlation of neighbours",
        "lag-independence",
        lambda size: functools.partial(correlated, p=0.5, size=size),
        number(f"correlation of {NUMBER}"),
    ),
    "markov": Curve(
        "Markov dependence",
        "correlation of neighbours",
        "lag-independence",
        lambda size: functools.partial(markov, p=0.5, size=size),
        number(f"correlation of {NUMBER}"),
    ),
    "period": Curve(
        "a period",
        "period (elements)",
        "mask-repeats",
        lambda size: Period(0.5, size),
        _period_seen,
        factors=STEP,
        smaller=True,
    ),
    "pool": Curve(
        "a pool of masks",
        "masks in the pool",
        "few-masks",
        lambda size: functools.partial(pool, p=0.5, size=size),
        number(f"pool of {NUMBER} masks"),
        factors=FALLING,
        smaller=True,
    ),
    "scale": Curve(
        "an error of the scale in float32",
        "relative error of kept values",
        "kept-scale",
        lambda size: functools.partial(scale_error, p=0.5, size=size),
        _scale_seen,
        factors=STEP,
    ),
    "class-256": Curve(
        "another rate in one class modulo 256",
        "error of the rate there",
        "position-rate",
        lambda size: functools.partial(one_class, p=0.5, size=size, of=256),
        number(f"{NUMBER} in one class modulo 256"),
    ),
    "class-8": Curve(
        "another rate in one class modulo 8",
        "error of the rate there",
        "position-rate",
        lambda size: functools.partial(one_class, p=0.5, size=size, of=8),
        number(f"{NUMBER} in one class modulo 8"),
    ),
}

COLUMNS = ("curve", "level", "check", "factor", "size", "stated", "found", "runs", "seconds")
Record = dict[str, str]


def size_of(curve: Curve, factor: float, stated: float) -> float:
    """A multiple of the stated size; bits are counted from it."""
    if curve.unit.startswith("bits"):
        return stated + factor
    size = factor * stated
    return float(round(size)) if curve.smaller else size


def stated_by(name: str, level: str) -> float:
    """The size that the check says it detects, taken from a run on a correct dropout."""
    curve = CURVES[name]
    result = verified(curve, 0.0, level, seed=0)
    if result.status != "ok":
        raise SystemExit(f"{name}, {level}: {result.status}, {result.message}")
    return curve.stated(result.sees)


def verified(curve: Curve, size: float, level: str, seed: int) -> Any:
    report = check_subject(
        curve.subject(size),
        level=level,
        seed=seed,
        only=frozenset({curve.check}),
        false_alarm_rate=curve.false_alarm_rate,
    )
    return report.checks[0]


def measure_point(name: str, level: str, factor: float, stated: float, runs: int) -> Record:
    """Measure how many of `runs` seeds find a fault of one size."""
    curve = CURVES[name]
    size = size_of(curve, factor, stated)
    start = time.perf_counter()
    results = [verified(curve, size, level, seed) for seed in range(1, runs + 1)]
    skipped = [result.message for result in results if result.status == "skip"]
    if skipped:
        raise RuntimeError(f"{name} at size {size:g}: not checked: {skipped[0]}")
    found = sum(result.status == "fail" for result in results)
    seconds = (time.perf_counter() - start) / runs
    values = (name, level, curve.check, factor, size, stated, found, runs, f"{seconds:.3f}")
    return {key: f"{value:.8g}" if isinstance(value, float) else str(value)
            for key, value in zip(COLUMNS, values, strict=True)}  # fmt: skip


def curves(options: argparse.Namespace) -> None:
    path = options.out / "curves.csv"
    names = options.curve or list(CURVES)
    wanted = {(name, level): stated_by(name, level) for name in names for level in options.level}
    done = [] if options.fresh else [row for row in read(path) if still_true(row, wanted, options)]
    write(path, COLUMNS, done)
    have = {(row["curve"], row["level"], float(row["factor"])) for row in done}
    tasks = [
        (name, level, float(factor), stated, options.runs)
        for (name, level), stated in wanted.items()
        for factor in CURVES[name].factors
        if (name, level, float(factor)) not in have
    ]
    print(f"{len(have)} points exist, {len(tasks)} to measure, {options.runs} runs each")
    for row in in_parallel(measure_point, tasks, options.jobs):
        done.append(row)
        write(path, COLUMNS, in_order(done))
        print(
            f"{row['curve']:>10}  {row['level']:<9} size {float(row['size']):<11.5g} "
            f"(sees {float(row['stated']):.5g})  found in {row['found']} of {row['runs']}",
            flush=True,
        )
    note_machine(options.out)


def still_true(
    row: Record, wanted: Mapping[tuple[str, str], float], options: argparse.Namespace
) -> bool:
    """Whether a row is of checks with the same stated size, and of as many runs."""
    stated = wanted.get((row["curve"], row["level"]))
    if stated is None:
        return True
    same = math.isclose(stated, float(row["stated"]), rel_tol=1e-6)
    return same and int(row["runs"]) >= options.runs


def in_order(rows: Iterable[Record]) -> list[Record]:
    names, levels = list(CURVES), list(LEVELS)
    return sorted(
        rows,
        key=lambda row: (
            names.index(row["curve"]) if row["curve"] in names else len(names),
            levels.index(row["level"]),
            float(row["factor"]),
        ),
    )


# --- False alarms ---------------------------------------------------------------------------------

# All checks on samples of a few thousand: false alarms do not depend on the size of a sample.
TINY = Level("tiny", 0.03, 0.1, 0.06, 3e3, 1 << 14, 1 << 14, 1 << 18)
# At this rate for a run, a check raises enough false alarms for its share to be measured.
LOOSE = 0.5
# Checks that do not depend on chance, or take long, are run with one seed of this many.
SELDOM = 10
SLOW_CHECKS = ("thread-law",)
# These targets of plain dropout, channels, attention and noise get all seeds. The others share the
# checks, and many of them also draw the same numbers from torch: they get one seed of this many.
MAIN = ("functional", "channels", "attention", "gaussian_noise")
OTHERS = 200
# A call makes one draw, so that every run takes minutes.
SLOW_TARGETS = {"whole_batch": 2}

ALARM_COLUMNS = (
    "check", "rule", "rate", "runs", "accusations", "upper", "stated",
)  # fmt: skip


def innocent() -> dict[str, Any]:
    """The correct dropouts of the tests, by name."""
    sys.path.insert(0, str(ROOT / "tests"))
    from verify import _zoo

    return dict(_zoo.members("correct"))


def seeds_for(name: str, count: int) -> range:
    """The seeds a dropout is verified with."""
    most = count if name in MAIN else math.ceil(count / OTHERS)
    return range(min(most, SLOW_TARGETS.get(name, most)))


def checks_for(seed: int, rate: float) -> frozenset[str]:
    """The checks that are run with a seed: at the loose rate, only the statistical ones."""
    seldom = seed % SELDOM == 0
    return frozenset(
        check.name
        for check in CHECKS.values()
        if (check.statistical and (seldom or check.name not in SLOW_CHECKS))
        or (seldom and rate == RATE)
    )


def verify_correct(target: str, rate: float, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """One line per run: the checks that ran, and those that raised a false alarm."""
    subject = innocent()[target].subject()
    lines = []
    for seed in seeds:
        only = checks_for(seed, rate)
        report = check_subject(subject, level=TINY, seed=seed, false_alarm_rate=rate, only=only)
        errors = [f for f in report.findings if f.severity == "error"]
        lines.append(
            {
                "target": target,
                "rate": rate,
                "seed": seed,
                "ran": [c.rule.code for c in report.checks if c.status != "skip"],
                "accused": {f.name: f.message for f in errors},
            }
        )
    return lines


def false_alarms(options: argparse.Namespace) -> None:
    log = options.log
    if options.fresh and log.exists():
        log.unlink()
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    done = {(line["target"], line["rate"], line["seed"]) for line in lines}
    members = innocent()
    tasks = []
    for rate, count in ((RATE, options.seeds), (LOOSE, options.loose_seeds)):
        for target in options.target or members:
            wanted = seeds_for(target, count)
            seeds = [seed for seed in wanted if (target, rate, seed) not in done]
            tasks += [(target, rate, seeds[i : i + 10]) for i in range(0, len(seeds), 10)]
    print(f"{len(done)} runs exist, {sum(len(t[2]) for t in tasks)} to do", flush=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    start, ended = time.perf_counter(), 0
    with log.open("a") as file:
        for new in in_parallel(verify_correct, tasks, options.jobs):
            lines += new
            ended += len(new)
            file.writelines(json.dumps(line) + "\n" for line in new)
            file.flush()
            for line in new:
                if line["accused"] and line["rate"] == RATE:
                    print(f"false alarm: {line['target']}, seed {line['seed']}: {line['accused']}")
            if ended % 250 < len(new):
                print(f"{ended} runs in {time.perf_counter() - start:.0f} s", flush=True)
    rows = list(alarm_rows(lines))
    write(options.out / "false-alarms.csv", ALARM_COLUMNS, rows)
    note_machine(options.out)
    print(alarm_table(rows))


def alarm_rows(lines: Iterable[Mapping[str, Any]]) -> Iterator[Record]:
    """False alarms of each check, and of whole runs, at each rate."""
    by_rate: dict[float, list[Mapping[str, Any]]] = defaultdict(list)
    for line in lines:
        by_rate[line["rate"]].append(line)
    for rate, runs in sorted(by_rate.items()):
        ran = Counter(code for line in runs for code in line["ran"])
        alarms = Counter(name for line in runs for name in line["accused"])
        for code, check in CHECKS.items():
            if check.severity == "advice" or not ran[code]:
                continue  # advice is exact, and some correct dropouts deserve it
            if rate == LOOSE and not check.statistical:
                continue
            stated = rate / STATISTICAL if check.statistical else 0.0
            yield alarm_row(
                check.name, "statistical" if check.statistical else "exact", rate, ran[code],
                alarms[check.name], stated,
            )  # fmt: skip
        any_alarms = sum(bool(line["accused"]) for line in runs)
        yield alarm_row("a run", "all", rate, len(runs), any_alarms, rate)


def alarm_row(check: str, rule: str, rate: float, runs: int, found: int, stated: float) -> Record:
    values = (check, rule, f"{rate:g}", runs, found,
              f"{upper(found, runs):.3g}", f"{stated:.3g}")  # fmt: skip
    return {key: str(value) for key, value in zip(ALARM_COLUMNS, values, strict=True)}


def upper(count: int, runs: int) -> float:
    """The true rate is above this with confidence .05 at most (Clopper and Pearson, 1934)."""
    return 1.0 if count == runs else float(betaincinv(count + 1, runs - count, CONFIDENCE))


def interval(count: int, runs: int) -> tuple[float, float]:
    """Two-sided, with confidence .95."""
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, runs - count + 1, tail))
    high = 1.0 if count == runs else float(betaincinv(count + 1, runs - count, 1 - tail))
    return low, high


# --- Tables ---------------------------------------------------------------------------------------


def alarm_table(rows: Sequence[Record]) -> str:
    """A line per statistical check, at the default and at the loose rate; one for the others."""
    default = [row for row in rows if float(row["rate"]) == RATE]
    loose = {row["check"]: row for row in rows if float(row["rate"]) == LOOSE}
    exact = [row for row in default if row["rule"] == "exact"]
    alarms = sum(int(row["accusations"]) for row in exact)
    runs = f"{alarms} of {sum(int(row['runs']) for row in exact)}"
    lines = [[f"{len(exact)} exact checks", runs, "-", "-", "-"]]
    for row in default:
        if row["rule"] != "exact":
            other = loose[row["check"]]
            share = int(other["accusations"]) / int(other["runs"])
            measured = f"{share:.3f} of {other['runs']}", f"{float(other['stated']):.3f}"
            found = f"{row['accusations']} of {row['runs']}"
            lines.append([row["check"], found, row["upper"], *measured])
    head = ("check", "false alarms", "rate at most", f"share at {LOOSE:g}", "share allowed")
    return markdown(head, lines)


def curve_table(rows: Sequence[Record]) -> str:
    """A line per curve and level: what the check says it detects, and how often it did."""
    lines = []
    for (name, level), points in grouped(rows).items():
        curve = CURVES[name]
        stated = float(points[0]["stated"])
        good = [p for p in points if int(p["found"]) == int(p["runs"])]
        best = (max if curve.smaller else min)(good, key=lambda p: float(p["size"]), default=None)
        at = min(points, key=lambda p: abs(float(p["size"]) - stated))
        lines.append(
            [
                curve.what,
                f"`{curve.check}`",
                level,
                f"{stated:.3g}",
                f"{at['found']} of {at['runs']}",
                "" if best is None else f"{float(best['size']):.3g}",
            ]
        )
    head = ("fault", "check", "level", "stated size", "found there", "always found from")
    return markdown(head, lines)


def grouped(rows: Iterable[Record]) -> dict[tuple[str, str], list[Record]]:
    found: dict[tuple[str, str], list[Record]] = {}
    for row in in_order(rows):
        if row["curve"] in CURVES:
            found.setdefault((row["curve"], row["level"]), []).append(row)
    return found


def page(options: argparse.Namespace) -> None:
    """Write the tables between their marks in docs/power.md."""
    path = DOCS / "power.md"
    text = path.read_text()
    for mark, body in tables(options.out).items():
        text = fill(text, mark, body)
    path.write_text(text)
    print(path)


def tables(out: Path) -> dict[str, str]:
    """The generated parts of the page, by their marks."""
    parts = {"curves": curve_table(read(out / "curves.csv"))}
    alarms = read(out / "false-alarms.csv")
    if alarms:
        parts["false alarms"] = alarm_table(alarms)
    if (out / "machine.txt").exists():
        parts["machine"] = (out / "machine.txt").read_text().strip()
    return parts


# --- Plots ----------------------------------------------------------------------------------------

COLOURS = {"quick": "#d55e00", "standard": "#0072b2", "thorough": "#009e73"}
MARKERS = {"quick": "s", "standard": "o", "thorough": "^"}


def plot(options: argparse.Namespace) -> None:
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "torchdropout"
    mpl.rcParams["svg.fonttype"] = "none"
    options.plots.mkdir(parents=True, exist_ok=True)
    by_curve: dict[str, dict[str, list[Record]]] = defaultdict(dict)
    for (name, level), points in grouped(read(options.out / "curves.csv")).items():
        by_curve[name][level] = points
    for name, levels in by_curve.items():
        figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
        draw(axes, CURVES[name], levels)
        path = options.plots / f"power-{name}.svg"
        figure.savefig(path, metadata={"Date": None, "Creator": None})
        plt.close(figure)
        print(path)


def draw(axes: Any, curve: Curve, levels: Mapping[str, Sequence[Record]]) -> None:
    for level, points in levels.items():
        sizes = [float(p["size"]) for p in points]
        counts = [(int(p["found"]), int(p["runs"])) for p in points]
        shares = np.array([found / runs for found, runs in counts])
        bounds = np.array([interval(*count) for count in counts])
        axes.errorbar(
            sizes,
            shares,
            yerr=np.maximum(0, [shares - bounds[:, 0], bounds[:, 1] - shares]),
            color=COLOURS[level],
            marker=MARKERS[level],
            markersize=4,
            linewidth=1.2,
            capsize=2,
            label=f"{level}: found in {counts[0][1]} runs",
        )
        stated = float(points[0]["stated"])
        axes.axvline(
            stated,
            color=COLOURS[level],
            linestyle="--",
            linewidth=1,
            label=f"{level}: says it sees {stated:.2g}",
        )
    axes.axhline(0.99, color="#777777", linewidth=0.6, linestyle=":")
    if not curve.unit.startswith("bits"):
        axes.set_xscale("log")
    axes.set_ylim(-0.04, 1.04)
    axes.set_xlabel(curve.unit)
    axes.set_ylabel("share of runs that find it")
    axes.set_title(finding(curve, levels), fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="best")


def finding(curve: Curve, levels: Mapping[str, Sequence[Record]]) -> str:
    """The title: how often the stated size was found."""
    said = []
    for level, points in levels.items():
        stated = float(points[0]["stated"])
        reach = [
            p
            for p in points
            if (float(p["size"]) <= stated if curve.smaller else float(p["size"]) >= stated)
        ]
        if not reach:
            continue
        nearest = min(reach, key=lambda p: abs(float(p["size"]) - stated))
        size = float(nearest["size"])
        said.append(f"{level} finds {size:.2g} in {nearest['found']} of {nearest['runs']} runs")
    return f"{curve.check} against {curve.what}:\n" + ", ".join(said)


# --- Files and processes --------------------------------------------------------------------------


def read(path: Path) -> list[Record]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, columns: Sequence[str], rows: Sequence[Record]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    with new.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    new.replace(path)


def note_machine(out: Path) -> None:
    (out / "machine.txt").write_text(machine.describe(machine.record()) + "\n")


def in_parallel(
    work: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], jobs: int
) -> Iterator[Any]:
    """Yield the results as they arrive, from `jobs` processes of one thread each."""
    if jobs == 1:
        yield from (work(*task) for task in tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=torch.set_num_threads, initargs=(1,)) as ex:
        futures: list[Future[Any]] = [ex.submit(work, *task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            ex.shutdown(cancel_futures=True)
            raise


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add = functools.partial(_command, commands)
    one = add("curves", curves)
    one.add_argument("--curve", action="append", choices=list(CURVES), help="default: all")
    one.add_argument("--level", action="append", choices=list(LEVELS))
    one.add_argument("--runs", type=int, default=40, help="seeds per point; default: %(default)s")
    two = add("false-alarms", false_alarms)
    two.add_argument("--seeds", type=int, default=1000, help="default: %(default)s")
    two.add_argument("--loose-seeds", type=int, default=40, help="default: %(default)s")
    two.add_argument("--target", action="append", help="of tests/verify/correct; default: all")
    two.add_argument("--log", type=Path, default=RESULTS / "false-alarms.jsonl")
    for command in (one, two):
        command.add_argument("--jobs", type=int, default=2, help="default: %(default)s")
        command.add_argument("--fresh", action="store_true", help="discard existing results")
    three = add("plot", plot)
    three.add_argument("--plots", type=Path, default=PLOTS, help="default: %(default)s")
    add("page", page)
    options = parser.parse_args()
    if options.command == "curves" and not options.level:
        options.level = ["quick", "standard"]
    torch.set_num_threads(1)
    options.run(options)


def _command(commands: Any, name: str, run: Callable[..., None]) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name)
    command.add_argument("--out", type=Path, default=OUT, help="default: %(default)s")
    command.set_defaults(run=run)
    return command


if __name__ == "__main__":
    main()
