"""Makes the pictures of docs/family from the library's own masks: `python docs/pictures.py`.

Each picture is what a variant makes of an input of ones, under a fixed key: a grid of cells, one
colour a value. `PICTURES` has one entry a page; the page shows it under its title.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import torch

import torchdropout as td
from torchdropout import functional as F
from torchdropout import schedule

PLOTS = Path(__file__).parent / "plots"

CELL, GAP, MARGIN = 10, 26, 14
INK, LINE, ZERO = "#333333", "#b9bec4", "#ffffff"
LOW, ONE, KEPT = (0xC9, 0x5F, 0x12), (0xC3, 0xD3, 0xE1), (0x1F, 0x5F, 0x99)
LINES = ("#1f5f99", "#c95f12", "#5d8a3a", "#7d4f9e", "#555555")


@dataclass(frozen=True)
class Panel:
    """A grid of values, with what its rows and columns are."""

    values: torch.Tensor
    title: str = ""
    rows: str = ""
    columns: str = ""


@dataclass(frozen=True)
class Grids:
    """Panels side by side; `words` says what a value means, in the legend."""

    panels: Sequence[Panel]
    words: dict[float, str] = field(default_factory=dict)

    def levels(self) -> list[torch.Tensor]:
        """The values that are drawn: as they are, or rounded to 1/8 where they are many."""
        grids = [panel.values.double() for panel in self.panels]
        if len(torch.cat([grid.flatten() for grid in grids]).unique()) <= 5:
            return grids
        return [(grid.clamp(-2.0, 4.0) * 8).round() / 8 for grid in grids]


@dataclass(frozen=True)
class Curves:
    """Lines over a common axis."""

    lines: dict[str, Sequence[float]]
    x: str


Picture = Grids | Curves


def colour(value: float, top: float, discrete: bool) -> str:
    """White for 0, pale for 1, blue above, orange below."""
    if value == 0.0 and discrete:
        return ZERO
    if value >= 1.0:
        share = min((value - 1.0) / max(top - 1.0, 1e-9), 1.0)
        ends = (ONE, KEPT)
    else:
        share, ends = min(1.0 - value, 1.0), (ONE, LOW)
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in zip(*ends, strict=True))


def svg(picture: Picture, alt: str) -> str:
    """The picture as SVG: no font but the reader's, and nothing loaded."""
    body, width, height = (_grids if isinstance(picture, Grids) else _curves)(picture)  # type: ignore[operator]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" font-family="sans-serif" font-size="12">\n'
        f"<title>{escape(alt)}</title>\n"
        f'<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>\n' + body + "</svg>\n"
    )


def _text(x: float, y: float, words: str, extra: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" fill="{INK}"{extra}>{escape(words)}</text>\n'


def _wide(words: str) -> float:
    return 6.8 * len(words)


def _grids(picture: Grids) -> tuple[str, int, int]:
    levels = picture.levels()
    seen = torch.cat([grid.flatten() for grid in levels]).unique().tolist()
    discrete = len(seen) <= 5
    top = max(*seen, 2.0) if not discrete else max(*seen, 1.0 + 1e-9)
    titled = any(panel.title for panel in picture.panels)
    labelled = any(panel.columns for panel in picture.panels)
    y = MARGIN + (18 if titled else 0)
    x, parts, bottom = MARGIN, [], 0
    for panel, grid in zip(picture.panels, levels, strict=True):
        rows, columns = grid.shape
        x += 16 if panel.rows else 0
        wide, high = columns * CELL, rows * CELL
        if panel.title:
            parts.append(_text(x, y - 7, panel.title))
        if panel.rows:
            at = (x - 7, y + high / 2)
            turn = f' text-anchor="middle" transform="rotate(-90 {at[0]:g} {at[1]:g})"'
            parts.append(_text(*at, panel.rows, turn))
        if panel.columns:
            parts.append(_text(x, y + high + 15, panel.columns))
        parts.append(f'<g transform="translate({x} {y}) scale({CELL})">\n')
        for value in grid.unique().tolist():
            cells = "".join(f"M{c} {r}h1v1h-1z" for r, c in (grid == value).nonzero().tolist())
            fill = colour(value, top, discrete)
            parts.append(f'<path data-value="{value:.6g}" fill="{fill}" d="{cells}"/>\n')
        lines = [f"M0 {r}h{columns}" for r in range(rows + 1)]
        lines += [f"M{c} 0v{rows}" for c in range(columns + 1)]
        parts.append(f'<path stroke="{LINE}" stroke-width=".06" d="{"".join(lines)}"/>\n</g>\n')
        x += max(wide, math.ceil(_wide(panel.title)), math.ceil(_wide(panel.columns))) + GAP
        bottom = max(bottom, y + high)
    width = x - GAP + MARGIN
    at, y = float(MARGIN), bottom + (40 if labelled else 24)
    shown = (
        seen if discrete else [v for v in (-1.0, 0.0, 1.0, 2.0, 3.0) if seen[0] <= v <= seen[-1]]
    )
    for value in shown:
        words = f"{value:.3g}"
        words += f": {picture.words[value]}" if value in picture.words else _usual(value, discrete)
        if at > MARGIN and at + 20 + _wide(words) > max(width, 430):
            at, y = float(MARGIN), y + 18
        fill = colour(value, top, discrete)
        parts.append(
            f'<rect class="key" x="{at:g}" y="{y - 9}" width="10" height="10" fill="{fill}" '
            f'stroke="{LINE}"/>\n'
        )
        parts.append(_text(at + 15, y, words))
        at += 15 + _wide(words) + 16
        width = max(width, math.ceil(at))
    return "".join(parts), width, y + MARGIN


def _usual(value: float, discrete: bool) -> str:
    if not discrete:
        return ""
    return ": dropped" if value == 0.0 else ": as it was" if value == 1.0 else ": kept, scaled"


def _curves(picture: Curves) -> tuple[str, int, int]:
    wide, high, left, top = 380, 130, 44, 16
    peak = max(max(line) for line in picture.lines.values())
    parts = [
        f'<path stroke="{LINE}" fill="none" d="M{left} {top}v{high}h{wide}"/>\n',
        _text(left + wide, top + high + 16, picture.x, ' text-anchor="end"'),
        _text(left, top + high + 16, "0"),
        _text(left - 6, top + high, "0", ' text-anchor="end"'),
        _text(left - 6, top + 5, f"{peak:g}", ' text-anchor="end"'),
    ]
    y = top + 12
    for index, (name, line) in enumerate(picture.lines.items()):
        step, ends = wide / len(line), [top + high * (1 - value / peak) for value in line]
        points = " ".join(
            f"{left + step * (i + end):.5g},{y_at:.5g}"
            for i, y_at in enumerate(ends)
            for end in (0, 1)
        )
        stroke = LINES[index % len(LINES)]
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{stroke}" stroke-width="2"/>\n'
        )
        parts.append(_text(left + wide + 12, y, name).replace(INK, stroke))
        y += 18
    width = left + wide + 12 + math.ceil(max(map(_wide, picture.lines))) + MARGIN
    return "".join(parts), width, top + high + 26


KEY = td.Key(6)


def plain() -> Picture:
    """One draw an element."""
    y = F.dropout(torch.ones(12, 32), 0.5, key=KEY)
    return Grids([Panel(y, rows="samples", columns="features")])


def features() -> Picture:
    """One draw a sample and channel."""
    y = F.dropout2d(torch.ones(2, 6, 8, 8), 0.5, key=td.Key(1))
    every = y.permute(0, 2, 1, 3).reshape(2 * 8, 6 * 8)
    return Grids([Panel(every, rows="2 samples", columns="6 channels of 8 x 8 places")])


def alpha() -> Picture:
    """Dropped elements at the value of saturated SELU."""
    y = F.alpha_dropout(torch.ones(12, 32), 0.5, True, key=KEY)
    kept, dropped = y.max().item(), y.min().item()
    words = {float(kept): "kept, a + b", float(dropped): "dropped, a alpha' + b"}
    return Grids([Panel(y, rows="samples", columns="features, all 1 before")], words)


def fused() -> Picture:
    """A residual of 1 and what is added to it."""
    x, residual = torch.full((12, 32), 0.5), torch.ones(12, 32)
    y = F.dropout_add(x, residual, 0.5, key=KEY)
    words = {1.0: "residual alone", 2.0: "residual 1 and 0.5 / (1 - 0.5)"}
    return Grids([Panel(y, rows="rows", columns="columns")], words)


def blocks() -> Picture:
    """Squares, each channel its own."""
    y = F.drop_block2d(torch.ones(1, 3, 20, 20), 0.3, 5, key=td.Key(1))
    return Grids([Panel(y[0, c], f"channel {c}") for c in range(3)])


def paths() -> Picture:
    """Whole samples, or the whole batch."""
    x = torch.ones(8, 14)
    rows = F.drop_path(x, 0.5, True, key=td.Key(2))
    some = [F.drop_path(x, 0.5, True, mode="batch", key=KEY.fold_in(i)) for i in (0, 1, 2, 3)]
    kinds = {bool(y.any()): y for y in some}
    panels = [Panel(rows, 'mode="row"', "samples", "features")]
    panels += [Panel(kinds[kept], 'mode="batch", ' + word) for kept, word in _BATCH]
    return Grids(panels)


_BATCH = ((False, "one call"), (True, "another"))


def layers() -> Picture:
    """Which branches are computed, call after call."""
    grid, ran = torch.zeros(6, 32), []
    stack = [td.nn.LayerDrop(torch.nn.Identity(), 0.2, residual=False) for _ in range(6)]
    for depth, layer in enumerate(stack):
        layer.branch.register_forward_pre_hook(lambda *_, at=depth: ran.append(at))
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        for call in range(32):
            ran.clear()
            for layer in stack:
                layer(torch.ones(1))
            grid[ran, call] = 1.0
    words = {0.0: "skipped", 1.0: "computed"}
    return Grids([Panel(grid, rows="layers", columns="calls")], words)


def locked() -> Picture:
    """The same features at every step."""
    y = F.locked_dropout(torch.ones(2, 10, 18), 0.5, key=td.Key(1))
    return Grids([Panel(y[b], f"sequence {b}", "time", "features") for b in range(2)])


def words_of_a_table() -> Picture:
    """A word that is dropped is dropped wherever it stands."""
    words = torch.tensor([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8])
    y = F.embedding_dropout(words, torch.ones(10, 28), 0.4, key=td.Key(3))
    names = "the words " + " ".join(map(str, words.tolist())) + ", looked up"
    return Grids([Panel(y, rows="words", columns=names)])


def schedules() -> Picture:
    """Factors over epochs."""
    steps = range(31)
    every: dict[str, Callable[[int], float]] = {
        "Linear(20)": schedule.Linear(20),
        "Cosine(20)": schedule.Cosine(20),
        "Curriculum(0.2)": schedule.Curriculum(0.2),
        "Early(15)": schedule.Early(15),
        "Late(10)": schedule.Late(10),
    }
    return Curves(
        {name: [rate(t) for t in steps] for name, rate in every.items()},
        "the factor of p, up to epoch 30",
    )


# By the name of the page: what its picture shows, and what makes it.
PICTURES: dict[str, tuple[str, Callable[[], Picture]]] = {
    "alpha_dropout": (
        "A grid of elements: about half have one common negative value, the others one positive.",
        alpha,
    ),
    "drop_block": (
        "Three channels of a feature map: squares of 5 by 5 are dropped, each channel's own.",
        blocks,
    ),
    "drop_path": (
        "Whole rows dropped, a draw a sample; then a batch dropped whole, and one kept whole.",
        paths,
    ),
    "dropout": (
        "A grid of elements: about half are dropped, each by itself, and the others doubled.",
        plain,
    ),
    "dropout_add": (
        "A grid of sums: the residual alone where x is dropped, the residual and x elsewhere.",
        fused,
    ),
    "embedding_dropout": (
        "Rows of looked-up words: equal words are dropped or kept together.",
        words_of_a_table,
    ),
    "feature_dropout": (
        "Two samples of six channels, each channel of a sample kept whole or dropped whole.",
        features,
    ),
    "layer_drop": ("Six layers over 32 calls: in each call some layers are skipped.", layers),
    "locked_dropout": (
        "Two sequences: the same features are dropped at every time step of a sequence.",
        locked,
    ),
    "schedule": ("Five schedules over 30 epochs: the factor of p.", schedules),
}


def path(name: str) -> Path:
    """Where the picture of a page stands."""
    return PLOTS / f"family-{name}.svg"


def line(name: str) -> str:
    """The line of a page that shows its picture."""
    return f"![{PICTURES[name][0]}](../plots/family-{name}.svg)"


def write(names: Iterable[str] = PICTURES) -> None:
    """Draw the pictures of these pages again."""
    for name in names:
        alt, make = PICTURES[name]
        path(name).write_text(svg(make(), alt), encoding="utf-8")


if __name__ == "__main__":
    write()
