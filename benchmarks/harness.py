"""Time the candidates of a case in alternation, with a confidence interval for their ratio.

A script declares its cases as data, in groups, and passes them to `main`, which selects the
requested ones, gives each its memory setting, measures, prints and writes JSON. The first candidate
of a case is the reference: the figure printed next to another is its time over that of the first.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch

from torchdropout import backends

RESULTS = Path(__file__).parent / "results"

# What the allocator does with freed memory, by variables that it reads when a process starts. Warm:
# it keeps it, so that an output lies in pages already mapped. Cold: the default.
MEMORY: dict[str, dict[str, str]] = {
    "warm": {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**34)},
    "huge": {"THP_MEM_ALLOC_ENABLE": "1"},
    "cold": {},
}

SAMPLE_S = 2e-3
RESAMPLES = 2000
SEED = 0

Call = Callable[[], object]


@dataclass(frozen=True)
class Candidate:
    """One way to do the work of a case.

    Args:
        call: The function that is timed.
        prepare: Run before each sample, untimed.
        threads: Number of threads, if not the case's.
    """

    call: Call
    prepare: Call | None = None
    threads: int | None = None


@dataclass(frozen=True)
class Case:
    """One comparison: plain data, and the function that makes its candidates from it.

    Args:
        operation: What is measured, in words.
        setup: Allocates the inputs and names the candidates, or just their calls, the reference
            first.
        shape: Shape of the input.
        dtype: Dtype of the input.
        p: Drop probability.
        threads: Number of threads, unless a candidate has its own.
        memory: A name of `MEMORY`.
        only: Names of the candidates to measure, the reference first; all if empty.
        plan: How long to measure it, if not as the others.
    """

    operation: str
    setup: Callable[[Case], Mapping[str, Candidate | Call]]
    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    p: float = 0.1
    threads: int = 1
    memory: str = "warm"
    only: tuple[str, ...] = ()
    plan: Plan | None = None

    def candidates(self) -> dict[str, Candidate]:
        """Set up the case and return the requested candidates."""
        made = self.setup(self)
        chosen = {name: made[name] for name in self.only or made}
        return {n: c if isinstance(c, Candidate) else Candidate(c) for n, c in chosen.items()}

    def labels(self) -> dict[str, Any]:
        """The values that distinguish this case from others, for JSON."""
        return {
            "operation": self.operation,
            "shape": list(self.shape),
            "elements": math.prod(self.shape),
            "dtype": dtype_name(self.dtype),
            "p": self.p,
            "threads": self.threads,
            "memory": self.memory,
        }

    def __str__(self) -> str:
        plural = "s" if self.threads > 1 else ""
        return (
            f"{self.operation}, {shape_name(self.shape)} {dtype_name(self.dtype)}, p={self.p:g}, "
            f"{self.threads} thread{plural}, {self.memory}"
        )


@dataclass(frozen=True)
class Plan:
    """How long to measure a case.

    Args:
        budget_s: Time for all rounds of the candidates that are not slow.
        fewest: Least number of rounds, whatever they cost.
        most: Largest number of rounds, however cheap.
        slow_s: A candidate whose call takes longer is slow.
        slow_rounds: Number of rounds in which a slow candidate takes part.
    """

    budget_s: float = 1.0
    fewest: int = 9
    most: int = 101
    slow_s: float = 0.5
    slow_rounds: int = 3


QUICK = Plan(budget_s=0.05, fewest=3, most=5, slow_rounds=2)


@dataclass(frozen=True)
class Interval:
    """A ratio or difference of medians and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def inverse(self) -> Interval:
        """The interval of the inverse ratio."""
        return Interval(1 / self.value, 1 / self.high, 1 / self.low)

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass
class Samples:
    """Samples of one candidate: seconds and page faults per call, one of each per round."""

    calls: int
    seconds: list[float] = field(default_factory=list)
    faults: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median of the seconds per call."""
        return statistics.median(self.seconds)

    def as_json(self) -> dict[str, float]:
        """Quartiles and counts."""
        lower, upper = np.quantile(self.seconds, (0.25, 0.75)).tolist()
        return {
            "median_s": self.median,
            "lower_quartile_s": lower,
            "upper_quartile_s": upper,
            "rounds": len(self.seconds),
            "calls_a_round": self.calls,
            "page_faults_a_call": statistics.median(self.faults),
        }


@dataclass(frozen=True)
class Result:
    """The result of a case: the samples of each candidate."""

    case: Case
    samples: Mapping[str, Samples]

    def ratio(self, numerator: str, denominator: str) -> Interval:
        """Time of one candidate over that of another."""
        return ratio_of_medians(self.samples[numerator].seconds, self.samples[denominator].seconds)

    def ratios(self) -> dict[str, Interval]:
        """Time of each candidate over that of the first."""
        first, *others = self.samples
        return {name: self.ratio(name, first) for name in others}

    def as_json(self) -> dict[str, Any]:
        """Labels, times and ratios."""
        return {
            **self.case.labels(),
            "candidates": {name: samples.as_json() for name, samples in self.samples.items()},
            "time_over_first": {name: asdict(ratio) for name, ratio in self.ratios().items()},
        }

    def __str__(self) -> str:
        ratios = self.ratios()
        lines = [str(self.case)]
        for name, samples in self.samples.items():
            beside = f"   {ratios[name]} times as long" if name in ratios else ""
            faults = statistics.median(samples.faults)
            beside += f"   {faults:.3g} page faults" if faults >= 1 else ""
            lines.append(f"  {name:28}{duration(samples.median):>10}{beside}")
        return "\n".join(lines)


def ratio_of_medians(numerator: Sequence[float], denominator: Sequence[float]) -> Interval:
    """Use the rounds in which both took part; the bootstrap draws rounds, and so pairs."""
    rounds = min(len(numerator), len(denominator))
    a, b = np.array(numerator[:rounds]), np.array(denominator[:rounds])
    drawn = np.random.default_rng(SEED).integers(rounds, size=(RESAMPLES, rounds))
    ratios = np.median(a[drawn], axis=1) / np.median(b[drawn], axis=1)
    low, high = np.quantile(ratios, (0.025, 0.975)).tolist()
    return Interval(float(np.median(a) / np.median(b)), low, high)


def difference_of_medians(a: Sequence[float], b: Sequence[float]) -> Interval:
    """How many seconds longer the first takes; computed as `ratio_of_medians`."""
    rounds = min(len(a), len(b))
    pairs = np.array([a[:rounds], b[:rounds]])
    drawn = np.random.default_rng(SEED).integers(rounds, size=(RESAMPLES, rounds))
    low, high = np.quantile(-np.diff(np.median(pairs[:, drawn], axis=2), axis=0), (0.025, 0.975))
    return Interval(float(-np.diff(np.median(pairs, axis=1))[0]), float(low), float(high))


def measure(case: Case, plan: Plan) -> Result:
    """Alternate the candidates, with one sample of each per round."""
    torch.manual_seed(SEED)
    candidates = case.candidates()
    with _quiet():
        estimates = {name: _warm_up(c, case, plan) for name, c in candidates.items()}
        limits = _rounds(estimates, plan)
        samples = {n: Samples(max(1, math.ceil(SAMPLE_S / s))) for n, s in estimates.items()}
        for number in range(max(limits.values())):
            for name, candidate in candidates.items():
                if number < limits[name]:
                    _sample(candidate, case, samples[name])
    return Result(case, samples)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Disable garbage collection while timing, and restore the thread count afterwards."""
    threads = torch.get_num_threads()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        torch.set_num_threads(threads)


def _warm_up(candidate: Candidate, case: Case, plan: Plan) -> float:
    """Call until the first-time work is done; return about how many seconds a call takes."""
    samples = Samples(calls=1)
    _sample(candidate, case, samples)  # compiles, maps pages
    _sample(candidate, case, samples)
    while samples.seconds[-1] * samples.calls < SAMPLE_S:
        samples.calls *= 4
        _sample(candidate, case, samples)
    return samples.seconds[-1]


def _rounds(estimates: Mapping[str, float], plan: Plan) -> dict[str, int]:
    """The number of rounds in which each candidate takes part."""
    slow = {name for name, seconds in estimates.items() if seconds > plan.slow_s}
    round_s = sum(max(SAMPLE_S, s) for name, s in estimates.items() if name not in slow)
    affordable = int(plan.budget_s / round_s) if round_s else plan.slow_rounds
    rounds = min(plan.most, max(plan.fewest, affordable))
    return {name: plan.slow_rounds if name in slow else rounds for name in estimates}


def _sample(candidate: Candidate, case: Case, samples: Samples) -> None:
    """Time `samples.calls` calls."""
    torch.set_num_threads(candidate.threads or case.threads)
    if candidate.prepare:
        candidate.prepare()
    call, calls = candidate.call, itertools.repeat(None, samples.calls)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    start = time.perf_counter_ns()
    for _ in calls:
        call()
    elapsed = time.perf_counter_ns() - start
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    samples.seconds.append(elapsed * 1e-9 / samples.calls)
    samples.faults.append(faults / samples.calls)


def with_backward(
    functions: Mapping[str, Callable[[], torch.Tensor]],
    inputs: Sequence[torch.Tensor],
    given: torch.Tensor | None = None,
) -> dict[str, Candidate]:
    """Calls of functions and of their backward, with fresh gradients of the inputs.

    The gradient of the output is the given one, or dense.
    """
    if given is None:
        with torch.no_grad():
            given = torch.randn_like(next(iter(functions.values()))())
    gradient = given

    def step(function: Callable[[], torch.Tensor]) -> None:
        for x in inputs:
            x.grad = None
        function().backward(gradient)

    return {name: Candidate(partial(step, function)) for name, function in functions.items()}


def kept_bytes(
    function: Callable[[torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    parameters: Iterable[torch.Tensor] = (),
) -> int:
    """The bytes kept for the backward by one forward on x, beyond x and the parameters.

    The storages that autograd saves are counted once each, and no Python numbers kept with them.
    """
    storages: dict[int, int] = {}

    def pack(saved: torch.Tensor) -> torch.Tensor:
        storage = saved.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        y = function(x)
    for given in (x, *parameters):
        storages.pop(given.untyped_storage().data_ptr(), None)
    del y  # kept alive until now, so that no address is used twice
    return sum(storages.values())


def dtype_name(dtype: torch.dtype) -> str:
    """The dtype without the name of the package."""
    return str(dtype).removeprefix("torch.")


def shape_name(shape: Sequence[int]) -> str:
    """`64Mi` for a flat shape, `32 x 256 x 56 x 56` for another."""
    if len(shape) != 1:
        return " x ".join(map(str, shape))
    for unit, size in (("Mi", 2**20), ("Ki", 2**10)):
        if shape[0] >= size and shape[0] % size == 0:
            return f"{shape[0] // size}{unit}"
    return str(shape[0])


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options of every script."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--quick", action="store_true", help="few cases and rounds: a smoke test")
    options.add_argument("--backend", help="force a backend of torchdropout")
    options.add_argument("--out", type=Path, help="default: results/SCRIPT[-BACKEND].json")
    return options


def parse(script: str, options: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the options, and select the requested backend."""
    given = options.parse_args()
    if given.backend:
        backends.use(given.backend)
    if given.out is None:
        name = getattr(given, "group", Path(script).stem)
        given.out = RESULTS / f"{'-'.join(filter(None, (name, given.backend)))}.json"
    return given


def main(description: str | None, groups: Mapping[str, Callable[[bool], Iterable[Case]]]) -> None:
    """Measure the cases of the group that is named; a group gets whether to be quick."""
    accepted = parser(description)
    accepted.add_argument("group", choices=groups)
    accepted.add_argument("--threads", type=int, help="only the cases of this many threads")
    accepted.add_argument("--memory", choices=MEMORY, help="only those of this memory")
    options = parse("", accepted)
    cases = [
        case
        for case in groups[options.group](options.quick)
        if options.threads in (None, case.threads) and options.memory in (None, case.memory)
    ]
    if not cases:
        accepted.error("no case of this group has these threads and this memory")
    memories = [name for name in MEMORY if any(case.memory == name for case in cases)]
    if memories == [_memory()]:
        runs = [_run(cases, QUICK if options.quick else None)]
    else:
        runs = [run for memory in memories for run in _run_again(memory)]
    write(options.out, {"script": options.group, "runs": runs})


def _run(cases: Iterable[Case], plan: Plan | None) -> dict[str, Any]:
    results = []
    for case in cases:
        result = measure(case, plan or case.plan or Plan())
        print(result, flush=True)
        results.append(result.as_json())
    return {"machine": machine.record(), "results": results}


_VARIABLES = {name for variables in MEMORY.values() for name in variables}


def _memory() -> str | None:
    """The memory setting that this process was started with."""
    given = {name: value for name, value in os.environ.items() if name in _VARIABLES}
    return next((name for name, variables in MEMORY.items() if variables == given), None)


def _environment(memory: str) -> dict[str, str]:
    """The environment of a process with this memory setting."""
    kept = {name: value for name, value in os.environ.items() if name not in _VARIABLES}
    return kept | MEMORY[memory]


def _run_again(memory: str) -> list[dict[str, Any]]:
    """The runs of this same command, started with this memory setting."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "runs.json"
        command = [sys.executable, *sys.argv, "--memory", memory, "--out", str(out)]
        subprocess.run(command, env=_environment(memory), check=True)
        return json.loads(out.read_text())["runs"]


def become_warm() -> None:
    """Start this process again with warm memory, unless it already has it."""
    if _memory() != "warm":
        os.execve(sys.executable, [sys.executable, *sys.argv], _environment("warm"))


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def fill(text: str, mark: str, body: str) -> str:
    """A page with this between its comments `mark` and `end of mark`."""
    begin, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise SystemExit(f"expected {begin} and {end} in the page")
    return f"{before}{begin}\n\n{body}\n\n{end}{after}"


def markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
