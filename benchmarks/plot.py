"""Draw the groups forward and forward_backward of operations.py: nanoseconds per element over size.

The medians of the full factors are kept in docs/performance/, with the machine: `--keep` writes
them from benchmarks/results/. The plots are drawn from what is kept.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import machine
import matplotlib as mpl
from harness import RESULTS
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from operations import OURS, TORCH

DOCS = Path(__file__).parent.parent / "docs"
KEPT, PLOTS = DOCS / "performance", DOCS / "plots"
SCRIPTS = ("forward", "forward_backward")
FACTORS = ("operation", "p", "threads", "memory")
COLUMNS = (*FACTORS, "dtype", "elements", "candidate", "ns_per_element")
STYLES = {
    OURS: {"color": "#0072b2", "marker": "o"},
    TORCH: {"color": "#d55e00", "marker": "s"},
    "copy_": {"color": "#777777", "marker": "^", "linestyle": "--"},
}

Row = Mapping[str, str]


def main_axis(runs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The results of the full factors: warm, one thread, flat, of one operation and one p."""
    found = [result for run in runs for result in run["results"]]
    common = {key: found[0][key] for key in FACTORS}
    return [r for r in found if all(r[key] == value for key, value in common.items())]


def rows(runs: Iterable[Mapping[str, Any]]) -> list[Row]:
    """The medians that the plots show: of the dtypes that torch's dropout accepts."""
    return [
        {
            **{key: str(result[key]) for key in (*FACTORS, "dtype", "elements")},
            "candidate": name,
            "ns_per_element": f"{1e9 * times['median_s'] / result['elements']:.5g}",
        }
        for result in main_axis(runs)
        if TORCH in result["candidates"]
        for name, times in result["candidates"].items()
        if name in STYLES
    ]


def keep(results: Path, folder: Path) -> None:
    """Write the medians and the machine of the last run."""
    for script in SCRIPTS:
        runs = json.loads((results / f"{script}.json").read_text())["runs"]
        with (folder / f"{script}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows(runs))
        (folder / "machine.txt").write_text(machine.describe(runs[0]["machine"]) + "\n")


def times(kept: Iterable[Row], candidate: str) -> dict[tuple[str, int], float]:
    """Nanoseconds an element of one candidate, by dtype and size."""
    return {
        (row["dtype"], int(row["elements"])): float(row["ns_per_element"])
        for row in kept
        if row["candidate"] == candidate
    }


def speeds(kept: Sequence[Row]) -> list[float]:
    """Torch's time over ours, for cases in which both took part."""
    ours, theirs = times(kept, OURS), times(kept, TORCH)
    return [theirs[case] / ours[case] for case in theirs]


def finding(kept: Sequence[Row]) -> str:
    """The speed compared with torch in words, from the slowest to the fastest point."""
    ratios = speeds(kept)
    return f"{min(ratios):.2g} to {max(ratios):.2g} times as fast as torch's"


def draw_dtype(axes: Axes, dtype: str, kept: Sequence[Row]) -> None:
    """Draw one panel."""
    for name, style in STYLES.items():
        points = sorted((size, ns) for (_, size), ns in times(kept, name).items())
        if points:
            axes.loglog(*zip(*points, strict=True), label=name, markersize=4, **style)
    axes.set_xscale("log", base=2)
    axes.set_title(f"{dtype}: {finding(kept)}", fontsize=9)
    axes.set_xlabel("size (elements)")
    axes.set_ylabel("time (ns an element)")
    axes.grid(alpha=0.3)


def draw(kept: Sequence[Row], made_on: str, path: Path) -> None:
    """Draw one figure: a panel for each dtype."""
    dtypes = list(dict.fromkeys(row["dtype"] for row in kept))
    panels = (len(dtypes) + 1) // 2
    figure, grid = plt.subplots(
        panels, 2, figsize=(10, 1 + 3.2 * panels), squeeze=False, layout="constrained"
    )
    for axes, dtype in zip(grid.flat, dtypes, strict=False):
        draw_dtype(axes, dtype, [row for row in kept if row["dtype"] == dtype])
    for axes in grid.flat[len(dtypes) :]:
        axes.set_axis_off()
    grid.flat[0].legend()
    first = kept[0]
    figure.suptitle(
        f"{first['operation'].capitalize()}, p = {first['p']}, {first['threads']} thread, "
        f"{first['memory']}: torchdropout is {finding(kept)}"
    )
    figure.supxlabel(made_on, fontsize=6)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def draw_kept(out: Path) -> None:
    """Draw all that is kept."""
    made_on = (KEPT / "machine.txt").read_text().strip()
    with mpl.rc_context({"svg.hashsalt": "torchdropout", "svg.fonttype": "none"}):
        for script in SCRIPTS:
            with (KEPT / f"{script}.csv").open(newline="") as file:
                draw(list(csv.DictReader(file)), made_on, out / f"{script}.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="the results of the last run")
    parser.add_argument("--results", type=Path, default=RESULTS, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=PLOTS, help="default: %(default)s")
    options = parser.parse_args()
    mpl.use("svg")
    if options.keep:
        keep(options.results, KEPT)
    options.out.mkdir(parents=True, exist_ok=True)
    draw_kept(options.out)


if __name__ == "__main__":
    main()
