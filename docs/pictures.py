"""The pictures of docs/family, made from the library's own masks. `draw.py` draws them.

Each picture is what a variant makes of an input of ones, under a fixed key: a grid of cells, one
colour a value. `PICTURES` has one entry a page; the page shows it under its title.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape

import torch

import torchdropout as td
from torchdropout import functional as F
from torchdropout import schedule

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


def colour(value: float, ends: tuple[float, float], discrete: bool) -> str:
    """White for 0, pale for 1, blue above, orange below."""
    if value == 0.0 and discrete:
        return ZERO
    if value >= 1.0:
        share, to = (value - 1.0) / max(ends[1] - 1.0, 1e-9), KEPT
    else:
        share, to = (1.0 - value) / (1.0 - ends[0]), LOW
    mixed = (a + share * (b - a) for a, b in zip(ONE, to, strict=True))
    return "#" + "".join(f"{round(part):02x}" for part in mixed)


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
    ends = (min(seen[0], 0.0), seen[-1] if discrete else max(seen[-1], 2.0))
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
            fill = colour(value, ends, discrete)
            parts.append(f'<path data-value="{value:.6g}" fill="{fill}" d="{cells}"/>\n')
        lines = [f"M0 {r}h{columns}" for r in range(rows + 1)]
        lines += [f"M{c} 0v{rows}" for c in range(columns + 1)]
        parts.append(f'<path stroke="{LINE}" stroke-width=".06" d="{"".join(lines)}"/>\n</g>\n')
        x += max(wide, math.ceil(_wide(panel.title)), math.ceil(_wide(panel.columns))) + GAP
        bottom = max(bottom, y + high)
    width = x - GAP + MARGIN
    at, y = float(MARGIN), bottom + (40 if labelled else 24)
    marks = (-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
    shown = seen if discrete else [mark for mark in marks if seen[0] <= mark <= seen[-1]]
    for value in shown:
        words = picture.words.get(value) or f"{value:.3g}" + _usual(value, discrete)
        if at > MARGIN and at + 20 + _wide(words) > max(width, 430):
            at, y = float(MARGIN), y + 18
        fill = colour(value, ends, discrete)
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
    words = {kept: f"{kept:.3g}: kept, a + b", dropped: f"{dropped:.3g}: dropped, a alpha' + b"}
    return Grids([Panel(y, rows="samples", columns="features, all 1 before")], words)


def fused() -> Picture:
    """A residual of 1 and what is added to it."""
    x, residual = torch.full((12, 32), 0.5), torch.ones(12, 32)
    y = F.dropout_add(x, residual, 0.5, key=KEY)
    words = {1.0: "1: the residual alone", 2.0: "2: with 0.5 / (1 - 0.5)"}
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


def normal() -> Picture:
    """Normal noise that multiplies, and that adds."""
    x = torch.ones(12, 16)
    one, other = F.gaussian_dropout(x, 0.3, key=KEY), F.gaussian_noise(x, 0.4, key=KEY)
    times = Panel(one, "gaussian_dropout, p=0.3", "samples", "features")
    return Grids([times, Panel(other, "gaussian_noise, sigma=0.4")])


def uniform() -> Picture:
    """Uniform noise that multiplies."""
    y = F.uniform_dropout(torch.ones(12, 32), 0.6, key=KEY)
    return Grids([Panel(y, rows="samples", columns="features")])


def relaxed() -> Picture:
    """The relaxed mask at two temperatures."""
    x, even = torch.ones(12, 16), torch.tensor(0.0)  # p is 1/2
    kinds = {t: F.concrete_dropout(x, even, temperature=t, key=KEY) for t in (0.1, 0.8)}
    panels = [Panel(y, f"temperature {t}") for t, y in kinds.items()]
    return Grids(panels)


def learned() -> Picture:
    """Noise whose variance grows from column to column."""
    log_alpha = torch.linspace(-5.0, 0.5, 32)
    y = F.variational_dropout(torch.ones(12, 32), log_alpha.expand(12, 32), key=KEY)
    return Grids([Panel(y, rows="samples", columns="features, log alpha from -5 to 0.5")])


def weights() -> Picture:
    """One mask of a weight matrix for a call, another for the next."""
    calls = [F.drop_connect(torch.ones(12, 18), 0.5, key=KEY.fold_in(i)) for i in range(2)]
    names = ("of one call", "of the next")
    return Grids([Panel(w, n, "outputs", "inputs") for w, n in zip(calls, names, strict=True)])


def zones() -> Picture:
    """Which units of a state take their new value, step after step."""
    state, steps = torch.zeros(32), []
    for step in range(1, 13):
        new = torch.full((32,), float(step))
        state = F.zoneout(new, state, 0.3, key=KEY.fold_in(step))
        steps.append(state == new)
    words = {0.0: "the value before", 1.0: "the new value"}
    return Grids([Panel(torch.stack(steps), rows="time", columns="units of the state")], words)


def probabilities() -> Picture:
    """Attention probabilities, of which what is kept is scaled; each row was even before."""
    size = 14
    even, values = torch.zeros(2, size, 4), torch.eye(size).expand(2, size, size)
    # torchdropout: ignore[attention-dropout-ungated]
    got = F.scaled_dot_product_attention(
        even, even, values, dropout_p=0.5, is_causal=True, dropout_key=KEY
    )
    seen = torch.ones(size, size).tril()
    factors = (got * seen.sum(1, keepdim=True)).round()
    panels = [
        Panel(factors[head] + (1 - seen), f"head {head}", "queries", "keys") for head in range(2)
    ]
    return Grids(panels, {1.0: "later keys, which causal attention does not see"})


def several() -> Picture:
    """One input under several masks."""
    every = F.multi_sample_dropout(torch.ones(8, 11), 0.5, 4, key=KEY)
    return Grids([Panel(y, f"sample {i}") for i, y in enumerate(every)])


def twice() -> Picture:
    """The masks of two passes, and where they differ."""
    passes = [F.dropout(torch.ones(12, 14), 0.3, key=KEY.fold_in(i)) for i in range(2)]
    same = (passes[0] == passes[1]).float()
    panels = [Panel(passes[0], "first pass"), Panel(passes[1], "second pass")]
    words = {0.0: "0: dropped; right: they differ", 1.0: "1: they agree"}
    return Grids([*panels, Panel(same, "where they agree")], words)


def recurrent() -> Picture:
    """Where the state is dropped on its way to the next step; where its update is.

    The weights are such that h shows it: gates open or shut, and small numbers.
    """
    units, steps, small = 16, 12, 0.01
    panels = []
    for mode, forget in (("state", -30.0), ("update", 30.0)):
        layer = td.nn.LSTM(1, units, recurrent_dropout=0.5, recurrent_mode=mode)
        with torch.no_grad():
            for weight in layer.parameters():
                weight.zero_()
            gates = layer.bias_ih_l0.view(4, units)  # i, f, g, o
            gates[0], gates[1], gates[2], gates[3] = 30.0, forget, small, 30.0
            layer.weight_hh_l0.view(4, units, units)[2] = torch.eye(units) * (mode == "state")
            start = torch.full((1, 1, units), small), torch.zeros(1, 1, units)
            h = layer(torch.zeros(steps, 1, 1), start, key=KEY)[0][:, 0]
        if mode == "state":  # h = small + 2 h of the step before where kept, small where dropped
            kept = h > 1.5 * small
        else:  # h grows by 2 small where kept, and stays where dropped
            kept = torch.diff(h, dim=0, prepend=torch.zeros(1, units)) > 0.5 * small
        panels.append(Panel(2.0 * kept, f'recurrent_mode="{mode}"', "time", "units"))
    return Grids(panels)


def tokens() -> Picture:
    """The same number of patches of each image."""
    side, x = 14, torch.ones(3, 14 * 14, 1)
    _, kept = F.token_dropout(x, 0.5, return_indices=True, key=KEY)
    grids = torch.zeros(3, side * side).scatter(1, kept, 1.0).view(3, side, side)
    words = {0.0: "dropped: not computed further", 1.0: "98 of 196 kept, as they were"}
    panels = [Panel(grid, f"image {i}", "", "14 x 14 patches") for i, grid in enumerate(grids)]
    return Grids(panels, words)


def structured() -> Picture:
    """Two of each four; eight of sixteen columns, of a call and of each sample."""
    x = torch.ones(12, 16)
    panels = [
        Panel(F.n_m_dropout(x, 2, 4, key=KEY), "2 of each 4", "samples", "features"),
        Panel(F.column_dropout(x, 0.5, key=KEY), "columns"),
        Panel(F.column_dropout(x, 0.5, mode="row", key=KEY), 'columns, mode="row"'),
    ]
    return Grids(panels)


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
    "attention": (
        "Two heads of causal attention: of the probabilities below the diagonal half are dropped.",
        probabilities,
    ),
    "concrete": (
        "Two grids: at temperature 0.1 nearly all values are near 0 or 2, at 0.8 many between.",
        relaxed,
    ),
    "drop_block": (
        "Three channels of a feature map: squares of 5 by 5 are dropped, each channel's own.",
        blocks,
    ),
    "drop_path": (
        "Whole rows dropped, one draw per sample; then a batch dropped whole, and one kept whole.",
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
    "gaussian": (
        "Two grids of continuous values around 1: noise that multiplies, and noise that adds.",
        normal,
    ),
    "layer_drop": ("Six layers over 32 calls: in each call some layers are skipped.", layers),
    "locked_dropout": (
        "Two sequences: the same features are dropped at every time step of a sequence.",
        locked,
    ),
    "multi_sample": ("One input under four different masks.", several),
    "r_drop": ("The masks of two passes over one input, and where they agree.", twice),
    "recurrent": (
        "Two grids, time by units: the same units at each step; then other units at each step.",
        recurrent,
    ),
    "schedule": ("Five schedules over 30 epochs: the factor of p.", schedules),
    "structured_masks": (
        "Three grids: two of each four features kept; half the columns; half of each row.",
        structured,
    ),
    "token_dropout": (
        "Three images of 14 by 14 patches: half of the patches of each are kept.",
        tokens,
    ),
    "uniform": ("A grid of continuous values around 1, none farther from it than 0.6.", uniform),
    "variational": ("A grid whose values scatter more from column to column.", learned),
    "weight_drop": ("The weights of a layer in two calls, each with its own mask.", weights),
    "zoneout": (
        "A state over twelve steps: each unit takes its new value or keeps the one before.",
        zones,
    ),
}


def file(name: str) -> str:
    """The name of the file with the picture of a page."""
    return f"family-{name}.svg"


def line(name: str) -> str:
    """The line of a page that shows its picture."""
    return f"![{PICTURES[name][0]}](../plots/{file(name)})"
