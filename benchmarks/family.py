"""The family compared with its peers: time, bytes saved, rate, edges, half types, `manual_seed`.

    python benchmarks/family.py            measure; docs/family/peers.jsonl and peers.md
    python benchmarks/family.py --page     regenerate the page from the results

Needs `.[dev,peers]`. A peer that cannot be imported is left out, and named.
"""

from __future__ import annotations

import importlib.util
import json
import math
import statistics
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import harness
import machine
import torch
from family_rows import FORMULA, OURS, ROWS, Function, Row, Way
from harness import Candidate, Case, Interval, Plan, kept_bytes

PAGE = Path(__file__).parent.parent / "docs" / "family" / "peers.md"
RESULTS = PAGE.with_suffix(".jsonl")
THREADS = 1
PLAN = Plan(budget_s=3.0, fewest=9, most=41)
WITHOUT = " at p = 0"
# A rate is the mean over calls until this many elements were seen, with bounds on the calls.
ELEMENTS, FEWEST, MOST = 2**25, 16, 400


def there(way: Way) -> bool:
    """Whether its package is installed."""
    return way.package in (OURS, FORMULA) or importlib.util.find_spec(way.package) is not None


def tensor(y: Any) -> torch.Tensor:
    """The output, if a function returns more."""
    return y[0] if isinstance(y, tuple) else y  # type: ignore[no-any-return]


def make_inputs(row: Row) -> tuple[torch.Tensor, ...]:
    """Inputs as a training step passes them to the dropout."""
    torch.manual_seed(0)
    if row.make_input:
        return (row.make_input(),)
    return tuple(torch.randn(row.shape).requires_grad_() for _ in range(row.inputs))


def make_probes(row: Row) -> tuple[torch.Tensor, ...]:
    """Inputs whose output shows what was dropped."""
    return row.probe() if row.probe else (torch.ones(row.shape),) * row.inputs


def parameters(function: Function) -> list[torch.Tensor]:
    """The parameters of a module."""
    return list(function.parameters()) if isinstance(function, torch.nn.Module) else []


def training_step(row: Row, way: Way, p: float) -> Candidate:
    """Return a call that runs forward and backward."""
    function, inputs = way.make(p), make_inputs(row)
    learned = [t for t in (*inputs, *parameters(function)) if t.requires_grad]
    (step,) = harness.with_backward({"": lambda: tensor(function(*inputs))}, learned).values()
    return step


def times(row: Row, ways: dict[str, Way], plan: Plan) -> harness.Result:
    """Time all in alternation; if a call does other work, also that work without a dropout."""

    def candidates(_: Case) -> dict[str, Candidate]:
        made = {name: training_step(row, way, row.p) for name, way in ways.items()}
        if row.works:
            for name, way in ways.items():
                made[name + WITHOUT] = training_step(row, way, 0.0)
        return made

    case = Case(
        row.variant,
        candidates,
        row.shape,
        p=row.p,
        threads=THREADS,
    )
    return harness.measure(case, plan)


def addition(row: Row, result: harness.Result, title: str) -> dict[str, float] | None:
    """Seconds that the dropout adds to a call."""
    if not row.works:
        return None
    with_it, without = (result.samples[title + suffix].seconds for suffix in ("", WITHOUT))
    return asdict(harness.difference_of_medians(with_it, without))


def saved(row: Row, way: Way) -> int:
    """Bytes kept for the backward, besides the input and the parameters."""
    function, inputs = way.make(row.p), make_inputs(row)
    with torch.no_grad():
        function(*inputs)  # tensors made once, at the first call, are not kept for the backward
    first, *others = inputs
    return kept_bytes(
        lambda x: tensor(function(x, *others)), first, [*others, *parameters(function)]
    )


def rate(row: Row, way: Way, quick: bool) -> tuple[float, float] | None:
    """The mean figure and its standard error."""
    if row.figure is None:
        return None
    function, probes = way.make(row.p), make_probes(row)
    torch.manual_seed(1)
    calls = FEWEST if quick else min(MOST, max(FEWEST, math.ceil(ELEMENTS / probes[0].numel())))
    with torch.no_grad():
        found = [row.figure(tensor(function(*probes))) for _ in range(calls)]
    return statistics.fmean(found), statistics.stdev(found) / math.sqrt(calls)


def at_edge(row: Row, way: Way, p: float) -> str:
    """Describe the result for an input in a word or two."""
    if p not in row.edges:
        return "-"
    inputs = make_inputs(row)
    x = inputs[0]
    try:
        function = way.make(p)
        before = torch.get_rng_state()
        y = tensor(function(*inputs))
        drew = not torch.equal(before, torch.get_rng_state())
        (gradient,) = torch.autograd.grad(y.sum(), _leaf(function, x), allow_unused=True)
    except Exception as error:
        return type(error).__name__
    if not y.isfinite().all():
        return "NaN"
    if gradient is not None and not gradient.isfinite().all():
        return "NaN in the gradient"
    if p == 1.0:
        return "zeros" if not y.any() else "some kept" if not _same(y, x) else "x"
    return ("x itself" if y is x else "x" if _same(y, x) else "as in eval") + ", draws" * drew


def _leaf(function: Function, x: torch.Tensor) -> torch.Tensor:
    return x if x.requires_grad else parameters(function)[0]


def _same(y: torch.Tensor, x: torch.Tensor) -> bool:
    return y.shape == x.shape and torch.equal(y, x)


def in_half(row: Row, way: Way) -> str:
    """The figure for bfloat16 input, and the dtype of the output if it is another."""
    try:
        function = way.make(row.p)
        if isinstance(function, torch.nn.Module):
            function = function.bfloat16()
        probes = [x.bfloat16() if x.is_floating_point() else x for x in make_probes(row)]
        torch.manual_seed(1)
        with torch.no_grad():
            y = tensor(function(*probes))
            if row.figure is None:
                found = "runs"
            else:
                figures = [row.figure(tensor(function(*probes))) for _ in range(FEWEST)]
                found = f"{statistics.fmean(figures):.4f}"
    except Exception as error:
        return type(error).__name__
    return found if y.dtype == torch.bfloat16 else f"{found}, {harness.dtype_name(y.dtype)}"


def repeats(row: Row, way: Way) -> str:
    """Whether the output repeats after `torch.manual_seed`."""
    function, inputs = way.make(row.p if row.figure else 0.5), make_inputs(row)
    runs = []
    for _ in range(2):
        torch.manual_seed(5)
        with torch.no_grad():
            runs.append([tensor(function(*inputs)).clone() for _ in range(4)])
    return "yes" if all(map(torch.equal, *runs)) else "no"


def measure(row: Row, quick: bool) -> dict[str, Any]:
    """Measure everything about a row."""
    ways = {way.title: way for way in row.ways if there(way)}
    result = times(row, ways, harness.QUICK if quick else PLAN)
    ratios = result.ratios()
    found: dict[str, Any] = {
        "variant": row.variant,
        "shape": list(row.shape),
        "inputs": row.inputs,
        "p": row.p,
        "expected": row.expected(row.p),
        "works": row.works,
        "ways": {},
    }
    for title, way in ways.items():
        figure = rate(row, way, quick)
        found["ways"][title] = {
            "seconds": result.samples[title].median,
            "time_over_ours": asdict(ratios.get(title, Interval(1.0, 1.0, 1.0))),
            "addition": addition(row, result, title),
            "saved": saved(row, way),
            "figure": figure,
            "p_zero": at_edge(row, way, 0.0),
            "p_one": at_edge(row, way, 1.0),
            "half": in_half(row, way),
            "seeded": repeats(row, way),
        }
    return found


# --- the page -------------------------------------------------------------------------------------

HEAD = """\
# The family compared with its peers

`make bench-family` installs the peers, measures, and writes this page from [all
results](peers.jsonl), in which a run replaces those of its processor. The runs, with {threads}
thread:

{machines}

Times are those of a forward and a backward in float32, for ours in milliseconds and for the others
as a multiple of ours: medians of alternating calls, with a 95 % interval; above 1, ours is faster.
*Saved* is what autograd keeps for the backward besides the input and the parameters. *Differs*: a
peer gives something else than ours at p = 1, returns another dtype for bfloat16, uses the generator
at p = 0, or does not repeat after `torch.manual_seed`; and a share of dropped elements (or what
takes its place) that is more than four standard errors from what is expected.

{summary}

{table}

Where a call does other work as well, this is how many milliseconds longer it takes than the same
call with p = 0.

{additions}
"""


def processor(found: dict[str, Any]) -> str:
    """The maker of the processor that a result is from."""
    return str(found["machine"]).partition(" ")[0].partition("(")[0]


def page(results: list[dict[str, Any]]) -> str:
    """The page as text, from the results of all processors."""
    machines: dict[str, list[dict[str, Any]]] = {}
    for found in results:
        machines.setdefault(processor(found), []).append(found)
    return HEAD.format(
        threads=THREADS,
        machines="\n".join(f"- {one[0]['machine']}" for one in machines.values()),
        summary="\n".join(f"- {name}: {summary(one)}" for name, one in machines.items()),
        table=harness.markdown(["", *machines, "saved", "differs"], table(machines)),
        additions=harness.markdown(["", *machines], additions(machines)),
    )


def summary(results: list[dict[str, Any]]) -> str:
    """Which peers are faster than ours: the interval of their ratio is below 1."""
    faster = [
        f"{title} ({found['variant']})"
        for found in results
        for title, way in found["ways"].items()
        if way["time_over_ours"]["high"] < 1.0
    ]
    peers = sum(len(found["ways"]) - 1 for found in results)
    said = f"of {peers} peers, {peers - len(faster)} are no faster than ours"
    return f"{said}; faster: {'; '.join(faster)}." if faster else f"{said}."


def rows(
    machines: dict[str, list[dict[str, Any]]],
) -> Iterator[tuple[dict[str, Any], str, list[dict[str, Any] | None]]]:
    """Each way of the first processor, and the same of every processor."""
    named = [{found["variant"]: found for found in one} for one in machines.values()]
    for variant, found in named[0].items():
        for title in found["ways"]:
            yield found, title, [one.get(variant, {"ways": {}})["ways"].get(title) for one in named]


def table(machines: dict[str, list[dict[str, Any]]]) -> Iterator[list[str]]:
    for found, title, ways in rows(machines):
        (ours, *_), (first, *_) = found["ways"].values(), ways
        cells = [time(way) for way in ways]
        assert first is not None
        name = title
        if first is ours:
            shape = " x ".join(map(str, found["shape"]))
            several = f", {found['inputs']} inputs" * (found["inputs"] > 1)
            name = f"{title}, {shape}{several}, p = {found['p']:g}"
        yield [name, *cells, size(first["saved"]), ", ".join(differs(found, first, ours))]


def additions(machines: dict[str, list[dict[str, Any]]]) -> Iterator[list[str]]:
    for found, title, ways in rows(machines):
        if found["works"]:
            added = (
                spread({k: 1e3 * v for k, v in way["addition"].items()}) for way in ways if way
            )
            yield [title, *added]


def differs(found: dict[str, Any], way: dict[str, Any], ours: dict[str, Any]) -> Iterator[str]:
    """What is not as it is expected, or not as ours."""
    if way["p_one"] != ours["p_one"]:
        yield f"{way['p_one']} at p = 1"
    if "draws" in way["p_zero"]:
        yield "draws at p = 0"
    if "," in way["half"]:
        yield f"{way['half'].split(', ')[1]} for bfloat16"
    if way["seeded"] != "yes":
        yield "not seeded"
    mean, error = way["figure"] or (0.0, 0.0)
    if error and abs(mean - found["expected"]) > 4 * error:
        yield f"{mean:.5f} ± {2 * error:.5f}, expected {found['expected']:.4g}"


def time(way: dict[str, Any] | None) -> str:
    if way is None:
        return "-"
    ratio = way["time_over_ours"]
    ours = ratio["low"] == ratio["high"] == 1.0
    return harness.duration(way["seconds"]) if ours else spread(ratio)


def spread(ratio: dict[str, float]) -> str:
    return f"{ratio['value']:.3g} [{ratio['low']:.3g}, {ratio['high']:.3g}]"


def size(count: int) -> str:
    """A number of bytes in a suitable unit."""
    for unit, one in (("MiB", 2**20), ("KiB", 2**10)):
        if count >= one:
            return f"{count / one:.3g} {unit}"
    return f"{count} B"


def main() -> None:
    accepted = harness.parser(__doc__)
    accepted.add_argument("--page", action="store_true", help="from the results, without measuring")
    accepted.add_argument("--only", help="variants whose name contains this; no page is written")
    options = harness.parse(__file__, accepted)
    results = [json.loads(text) for text in RESULTS.read_text().splitlines()]
    if not options.page:
        harness.become_warm()
        warnings.simplefilter("ignore")  # the peers' own
        about = machine.describe(machine.record())
        measured = []
        for row in ROWS:
            if options.only is None or options.only in row.variant:
                measured.append({"machine": about, **measure(row, options.quick)})
                print(json.dumps(measured[-1]), flush=True)
        mine = processor(measured[0])
        results = [found for found in results if processor(found) != mine] + measured
    if options.only is None and not options.quick:
        results.sort(key=processor)
        RESULTS.write_text("".join(f"{json.dumps(found)}\n" for found in results))
        PAGE.write_text(page(results))


if __name__ == "__main__":
    main()
