"""Draw the results of forward.py and forward_backward.py: nanoseconds per element over size."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import machine
import matplotlib as mpl
from forward import OURS, TORCH
from harness import RESULTS
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

PLOTS = Path(__file__).parent.parent / "docs" / "plots"
SCRIPTS = ("forward", "forward_backward")
STYLES = {
    OURS: {"color": "#0072b2", "marker": "o"},
    TORCH: {"color": "#d55e00", "marker": "s"},
    "copy_": {"color": "#777777", "marker": "^", "linestyle": "--"},
}

Result = Mapping[str, Any]


def main_axis(runs: Iterable[Mapping[str, Any]]) -> list[Result]:
    """The results of the full factors: warm, one thread, flat, of one operation and one p."""
    found = [result for run in runs for result in run["results"]]
    common = {key: found[0][key] for key in ("operation", "p", "threads", "memory")}
    return [r for r in found if all(r[key] == value for key, value in common.items())]


def speeds(results: Iterable[Result]) -> list[float]:
    """Torch's time over ours, for cases in which both took part."""
    return [
        r["candidates"][TORCH]["median_s"] / r["candidates"][OURS]["median_s"]
        for r in results
        if TORCH in r["candidates"]
    ]


def finding(results: Sequence[Result]) -> str:
    """The speed compared with torch in words, from the slowest to the fastest point."""
    ratios = speeds(results)
    return f"{min(ratios):.2g} to {max(ratios):.2g} times as fast as torch's"


def draw_dtype(axes: Axes, dtype: str, results: Sequence[Result]) -> None:
    """Draw one panel."""
    for name, style in STYLES.items():
        points = sorted(
            (r["elements"], 1e9 * r["candidates"][name]["median_s"] / r["elements"])
            for r in results
            if name in r["candidates"]
        )
        if points:
            axes.loglog(*zip(*points, strict=True), label=name, markersize=4, **style)
    axes.set_xscale("log", base=2)
    axes.set_title(f"{dtype}: {finding(results)}", fontsize=9)
    axes.set_xlabel("size (elements)")
    axes.set_ylabel("time (ns an element)")
    axes.grid(alpha=0.3)


def draw(runs: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw one figure: a panel for each dtype that torch's dropout accepts."""
    results = [r for r in main_axis(runs) if TORCH in r["candidates"]]
    dtypes = list(dict.fromkeys(r["dtype"] for r in results))
    panels = (len(dtypes) + 1) // 2
    figure, grid = plt.subplots(
        panels, 2, figsize=(10, 1 + 3.2 * panels), squeeze=False, layout="constrained"
    )
    for axes, dtype in zip(grid.flat, dtypes, strict=False):
        draw_dtype(axes, dtype, [r for r in results if r["dtype"] == dtype])
    for axes in grid.flat[len(dtypes) :]:
        axes.set_axis_off()
    grid.flat[0].legend()
    first = results[0]
    figure.suptitle(
        f"{first['operation'].capitalize()}, p = {first['p']:g}, {first['threads']} thread, "
        f"{first['memory']}: torchdropout is {finding(results)}"
    )
    figure.supxlabel(machine.describe(runs[0]["machine"]), fontsize=6)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=PLOTS, help="default: %(default)s")
    options = parser.parse_args()
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "torchdropout"
    mpl.rcParams["svg.fonttype"] = "none"
    options.out.mkdir(parents=True, exist_ok=True)
    for script in SCRIPTS:
        runs = json.loads((options.results / f"{script}.json").read_text())["runs"]
        draw(runs, options.out / f"{script}.svg")
        print(options.out / f"{script}.svg")


if __name__ == "__main__":
    main()
