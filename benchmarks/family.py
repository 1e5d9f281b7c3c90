"""The family compared with its peers: time, bytes saved, rate, edges, half types, `manual_seed`.

    python benchmarks/family.py            measure; results/family.json and docs/family/peers.md
                                           (on a processor of AMD, peers-amd.md)
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
from harness import Candidate, Case, Interval, Plan
from memory import kept_bytes

PAGES = Path(__file__).parent.parent / "docs" / "family"
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
    with torch.no_grad():
        gradient = torch.ones_like(tensor(function(*inputs)))
    return Candidate(
        harness.forward_backward(lambda: tensor(function(*inputs)), gradient, learned),
    )


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
        "elementwise": row.elementwise,
        "works": row.works,
        "missing": [way.name for way in row.ways if not there(way)],
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

    python benchmarks/family.py

One run of that command, {threads} thread, on: {machine}.

*Time* is that of a forward and
a backward in float32, for ours in milliseconds and for the others as a multiple of ours: medians of
alternating calls, with a 95 % interval; above 1, ours is faster. *Saved* is what autograd keeps for
the backward besides the input and the parameters. *Measured* is the share of a tensor of ones that
is dropped, or the quantity that is expected of the variant, with two standard errors; *bfloat16* is
the same in bfloat16, with the dtype of the output if it is another. *Draws*: the generator was used
though nothing is dropped. *Seeded*: the call repeats after `torch.manual_seed`. Where a call does
other work as well, *dropout adds* says how many milliseconds longer it takes than the same call
with p = 0.
"""


def is_amd(document: dict[str, Any]) -> bool:
    """Whether it was measured on a processor of that maker."""
    return "AMD" in document["runs"][0]["machine"]["cpu"]


def path(document: dict[str, Any]) -> Path:
    """The page of the results: each maker of processors has its own."""
    return PAGES / ("peers-amd.md" if is_amd(document) else "peers.md")


def page(document: dict[str, Any]) -> str:
    """The page as text, from the results."""
    (run,) = document["runs"]
    about = run["machine"]
    parts = [HEAD.format(machine=machine.describe(about), threads=THREADS)]
    if is_amd(document):
        parts[0] = parts[0].replace("its peers", "its peers, on an AMD processor", 1)
    parts.append("\n".join(summary(run["results"])))
    parts += ["\n".join(section(found)) for found in run["results"]]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def short_of(results: list[dict[str, Any]]) -> Iterator[tuple[str, str, float]]:
    """Peers that are faster than ours, the interval of their ratio below 1."""
    for found in results:
        for title, way in found["ways"].items():
            if way["time_over_ours"]["high"] < 1.0:
                yield found["variant"], title, way["time_over_ours"]["value"]


def summary(results: list[dict[str, Any]]) -> Iterator[str]:
    slower = list(short_of(results))
    peers = sum(len(found["ways"]) - 1 for found in results)
    yield f"Of {peers} peers, {peers - len(slower)} are no faster than ours."
    for variant, title, ratio in slower:
        yield f"Faster: {title} at {variant}, {ratio:.2f} of our time."
    slow = [
        f"{found['variant']} ({title}, {way['time_over_ours']['value']:.2f}{alone(found, way)})"
        for found in results
        if found["elementwise"]
        for title, way in list(found["ways"].items())[1:]
        if way["time_over_ours"]["value"] < 5.0
    ]
    yield ""
    yield "If a peer draws a number for each element, ours should be 5 times as fast. It is not for"
    yield "; ".join(slow) + "."


def alone(found: dict[str, Any], way: dict[str, Any]) -> str:
    if not way["addition"]:
        return ""
    ours = next(iter(found["ways"].values()))
    theirs, own = (1e3 * each["addition"]["value"] for each in (way, ours))
    return f", where the dropout adds {theirs:.1f} ms and ours {own:.1f} ms"


def section(found: dict[str, Any]) -> Iterator[str]:
    shape = " x ".join(map(str, found["shape"]))
    yield f"## {found['variant']}"
    yield ""
    several = f", {found['inputs']} inputs" if found["inputs"] > 1 else ""
    yield f"`{shape}`{several}, p = {found['p']:g}; expected {found['expected']:.4g}."
    yield ""
    added = " dropout adds |" * found["works"]
    yield f"| | time |{added} saved | measured | bfloat16 | p = 0 | p = 1 | seeded |"
    yield "|---|---|" + "---|" * found["works"] + "---|---|---|---|---|---|"
    for title, way in found["ways"].items():
        ratio = way["time_over_ours"]
        ours = ratio["low"] == ratio["high"] == 1.0
        time = harness.duration(way["seconds"]) if ours else spread(ratio)
        figure = way["figure"]
        rate = "-" if figure is None else f"{figure[0]:.5f} ± {2 * figure[1]:.5f}"
        cells = [time]
        if way["addition"]:
            cells.append(spread({k: 1e3 * v for k, v in way["addition"].items()}) + " ms")
        cells += (size(way["saved"]), rate, way["half"], way["p_zero"], way["p_one"])
        yield f"| {title} | {' | '.join(cells)} | {way['seeded']} |"


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
    if not options.page:
        harness.become_warm()
        warnings.simplefilter("ignore")  # the peers' own
        results = []
        for row in ROWS:
            if options.only is None or options.only in row.variant:
                results.append(measure(row, options.quick))
                print("\n".join(section(results[-1])), flush=True)
        run = {"machine": machine.record(), "results": results}
        document = {"script": "family", "runs": [run]}
        if options.only is None:
            harness.write(options.out, document)
    else:
        document = json.loads(options.out.read_text())
    if options.only is None and not options.quick:
        path(document).write_text(page(document))


if __name__ == "__main__":
    main()
