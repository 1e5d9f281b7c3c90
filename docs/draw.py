"""Draws the pictures of the docs: `python docs/draw.py`.

The site's pictures are drawn when it is built (`conf.py` calls `site`) and are not committed: those
of docs/family from the library, the others from the measured data in the repository. The README's
two pictures are committed, for a code host shows them without a build: `python docs/draw.py readme`
draws them.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import os
import re
import subprocess
import sys
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PLOTS = DOCS / "plots"
RECIPES = ROOT / "examples" / "recipes"


# --- The site -------------------------------------------------------------------------------------


def family(folder: Path) -> None:
    """What each variant makes of ones."""
    pictures = loaded(DOCS / "pictures.py")
    for name, (alt, make) in pictures.PICTURES.items():
        (folder / pictures.file(name)).write_text(pictures.svg(make(), alt), encoding="utf-8")


def power(folder: Path) -> None:
    """How often the verifier finds faults of each size."""
    script = loaded(ROOT / "benchmarks" / "power.py")
    script.plot(Namespace(out=DOCS / "power", plots=folder))


def performance(folder: Path) -> None:
    """Nanoseconds an element over the sizes."""
    loaded(ROOT / "benchmarks" / "plot.py").draw_kept(folder)


def concrete_regression(folder: Path) -> None:
    """What the recipe with a learned p came to."""
    results: dict[tuple[str, int], dict[str, list[float]]] = {}
    for row in read(DOCS / "recipes" / "concrete_regression.csv"):
        result = results.setdefault((row["model"], int(row["points"])), {})
        result.setdefault(row["measure"], []).append(float(row["value"]))
    script = loaded(RECIPES / "concrete_regression.py")
    script.draw(results, folder / "recipe-concrete_regression.svg")


def language_model(folder: Path) -> None:
    """The losses of the recurrent language models."""
    rows = read(DOCS / "recipes" / "language_model.csv")
    loaded(RECIPES / "language_model.py").plot(rows, folder / "recipe-language_model.svg")


def vit_digits(folder: Path) -> None:
    """Loss and accuracy of the vision transformers."""
    runs: dict[str, dict[str, list[tuple[int, float, float]]]] = defaultdict(dict)
    for row in read(DOCS / "recipes" / "vit_digits.csv"):
        run = runs[row["recipe"]].setdefault(row["seed"], [])
        run.append((int(row["epoch"]), float(row["loss"]), float(row["accuracy"])))
    curves = {name: list(of_seeds.values()) for name, of_seeds in runs.items()}
    loaded(RECIPES / "vit_digits.py").draw(curves, folder / "vit_digits.svg")


def mc_digits(folder: Path) -> None:
    """Accuracy, entropy and calibration of digits that turn."""
    figures: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in read(DOCS / "recipes" / "mc_digits.csv"):
        figures[row["measure"]][int(row["degrees"])].append(float(row["value"]))
    loaded(RECIPES / "mc_digits.py").draw(figures, folder / "recipe-mc_digits.svg")


SITE: tuple[Callable[[Path], None], ...] = (
    family,
    power,
    performance,
    concrete_regression,
    language_model,
    vit_digits,
    mc_digits,
)


def site(folder: Path = PLOTS) -> None:
    """Draw every picture of the site; a file whose picture is unchanged keeps its time."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as scratch:
        for draw in SITE:
            with drawing():
                draw(Path(scratch))
        for drawn in sorted(Path(scratch).iterdir()):
            put(folder / drawn.name, drawn.read_bytes())


def put(file: Path, data: bytes) -> None:
    """Write a file unless it holds this already."""
    if not file.exists() or file.read_bytes() != data:
        file.write_bytes(data)


# --- The README -----------------------------------------------------------------------------------

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#777777"


@dataclass(frozen=True)
class Speed:
    """A row of docs/performance/table.csv: torch's time over ours.

    `met` is the row's verdict, which is that on the figure before it was rounded.
    """

    name: str
    must: float
    measured: float
    low: float
    high: float
    met: bool


def speeds() -> list[Speed]:
    """The rows of the table that compare with torch's dropout, on this machine."""
    pattern = re.compile(
        r"(.*?)(?:, against (?:`F\.dropout`|torch's composition)|, gradients or not)"
    )
    number = re.compile(r"[\d.]+")
    found = []
    for row in read(DOCS / "performance" / "table.csv"):
        compared = pattern.fullmatch(row["row"])
        if compared and row["machine"] == machine():
            name = compared[1].replace("`", "").replace("never slower than torch,", "slowest of")
            measured, low, high = map(float, number.findall(row["measured"])[:3])
            must = float(number.findall(row["must"])[0])
            found.append(Speed(name, must, measured, low, high, row["verdict"] != "not met"))
    return found


def machine() -> str:
    """The machine of the rows that the README shows: processor, versions, date."""
    machines = [row["machine"] for row in read(DOCS / "performance" / "table.csv")]
    return next(name for name in machines if name.startswith("AMD") and "avx512" in name)


def speed(file: Path) -> None:
    """Times as fast as torch, with what each row must reach."""
    rows = speeds()
    figure, axes = plt.subplots(figsize=(8.6, 4.2), layout="constrained")
    places = range(len(rows))
    measured = [row.measured for row in rows]
    axes.barh(
        places,
        measured,
        xerr=[
            [row.measured - row.low for row in rows],
            [row.high - row.measured for row in rows],
        ],
        color=[BLUE if row.met else ORANGE for row in rows],
        ecolor="#222222",
        capsize=2,
        height=0.62,
    )
    targets = [row.must for row in rows]
    axes.plot(targets, places, "|", color="black", markersize=13, markeredgewidth=1.6)
    axes.plot([], [], "s", color=BLUE, markersize=9, label="measured, 95 % interval")
    axes.plot([], [], "s", color=ORANGE, markersize=9, label="the same, below the required value")
    axes.plot([], [], "|", color="black", markersize=9, markeredgewidth=1.6, label="required value")
    axes.axvline(1, color=GREY, linestyle="--", linewidth=1, label="as fast as torch")
    for place, row in zip(places, rows, strict=True):
        axes.annotate(
            f"{row.measured:g}",
            (max(row.high, row.must), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_yticks(places, [row.name for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("times as fast as torch")
    axes.set_xlim(0, 33)
    axes.set_title(
        f"On a CPU, one thread: {min(measured):.2g} to {max(measured):.2g} times as fast as "
        "torch's dropout",
        fontsize=10,
        loc="left",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, loc="center right", bbox_to_anchor=(1, 0.52), frameon=False)
    figure.supxlabel(machine(), fontsize=6)
    figure.savefig(file, metadata={"Date": None, "Creator": None})
    plt.close(figure)


CHECKS = "mode,kept-scale,p-one-zeros,edge-gradients,dtype-kept,nonfinite-dropped,construction"
VERIFY = f"verify examples/notebook_models.py:JustDropoutModelImpl --select {CHECKS}"
COLUMNS = 108


def report_text() -> str:
    """What the command prints in a terminal of `COLUMNS` columns, with its colours."""
    terminal = {"COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    done = subprocess.run(
        [sys.executable, "-m", "torchdropout", *VERIFY.split()],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "NO_COLOR"} | terminal,
        capture_output=True,  # the progress is on stderr
        text=True,
        check=False,
    )
    if done.returncode != 1:
        raise SystemExit(f"expected the verifier to find errors, got exit code {done.returncode}")
    return done.stdout


def report(file: Path) -> None:
    """The report of the verifier on the notebook's dropout, as the terminal shows it."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ torchdropout {VERIFY}".replace("--select", "\\\n    --select"), "bold"))
    console.print()
    console.print(Text.from_ansi(report_text().rstrip("\n")))
    picture = console.export_svg(title="torchdropout verify", unique_id="report")
    # The font is the reader's own: nothing is loaded from elsewhere.
    picture = re.sub(r"\s*@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    file.write_text(picture.replace("Fira Code, monospace", "monospace"), encoding="utf-8")


README: dict[str, Callable[[Path], None]] = {"readme-speed.svg": speed, "readme-report.svg": report}


def readme(folder: Path = PLOTS) -> None:
    """Draw the two committed pictures again."""
    for name, draw in README.items():
        with drawing():
            draw(folder / name)


# --- Both -----------------------------------------------------------------------------------------


def read(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@contextmanager
def drawing() -> Iterator[None]:
    """The same file for the same data, with text as text; what one script sets ends with it."""
    backend = mpl.get_backend()
    same: dict[str, Any] = {"svg.hashsalt": "torchdropout", "svg.fonttype": "none"}
    with mpl.rc_context(same), redirect_stdout(io.StringIO()):
        mpl.use("svg")
        try:
            yield
        finally:
            mpl.use(backend)


def loaded(file: Path) -> ModuleType:
    """A script as a module; those next to it can be imported by it."""
    spec = importlib.util.spec_from_file_location(f"drawn_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(file.parent))
    return module


if __name__ == "__main__":
    (readme if sys.argv[1:] == ["readme"] else site)()
