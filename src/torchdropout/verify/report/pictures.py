"""Pictures of what checks measured, as SVG that uses the colours of the surrounding page.

A picture is drawn if a check's figures contain its data; figures that are missing,
malformed or not finite are not drawn.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FixedLocator, NullLocator

from ..results import CheckResult

# Matplotlib gets colours that occur nowhere else, and CSS variables replace them, so that the same
# drawing works in light and in dark mode.
_INK, _DIM, _GRID, _PALE, _SEEN, _WRONG, _BAND = (f"#0000f{i}" for i in range(1, 8))
_VARIABLES = {
    _INK: "ink",
    _DIM: "dim",
    _GRID: "line",
    _PALE: "pale",
    _SEEN: "seen",
    _WRONG: "fail",
    _BAND: "band",
}

# Narrow, so that text stays readable on a page of 400 px.
_WIDTH = 4.2  # inches
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "torchdropout",
    "font.size": 9,
    "font.family": "sans-serif",
    "text.color": _INK,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _DIM,
    "axes.labelsize": 9,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "xtick.color": _GRID,
    "ytick.color": _GRID,
    "xtick.labelcolor": _DIM,
    "ytick.labelcolor": _DIM,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}


@dataclass(frozen=True)
class Picture:
    """A drawing of what a check measured.

    Attributes:
        title: A sentence that states what it shows.
        alt: A text with the content of the drawing, for screen readers.
        svg: An `<svg>` element for HTML; its colours are the variables `--td-...`.
    """

    title: str
    alt: str
    svg: str


_Drawn = tuple[str, str, Figure]


def draw(check: CheckResult, prefix: str) -> Picture | None:
    """Draw the picture of a check's figures, or return None if there is nothing to draw.

    Args:
        check: The result of a check.
        prefix: The prefix of the ids in the drawing; it must differ for each picture of a page.

    Returns:
        The picture of the first of `rates`, `places`, `lags`, `mask` and `picture` that the figures
        contain in the form in which checks report them.
    """
    with matplotlib.style.context(["default", _STYLE]):
        for key, drawer in _DRAWERS.items():
            drawn = drawer(check.figures) if key in check.figures else None
            if drawn is not None:
                title, alt, figure = drawn
                return Picture(title, alt, _svg(figure, prefix))
    return None


def _svg(figure: Figure, prefix: str) -> str:
    """The drawing without parts that HTML does not need, with ids that are unique in the page."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # The style would apply to the whole page.
    unused = r"<!--.*?-->|<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>"
    text = re.sub(unused, "", text, flags=re.DOTALL)
    text = re.sub(r'\s(?:xmlns(?::xlink)?|version)="[^"]*"', "", text)
    text = text.replace("xlink:href", "href")
    used = set(re.findall(r"#([\w.-]+)(?:\)|\")", text))
    text = re.sub(
        r'\sid="([^"]*)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", text
    )
    text = re.sub(r"(href=\"#|url\(#)", rf"\g<1>{prefix}-", text)
    for colour, name in _VARIABLES.items():
        text = text.replace(colour, f"var(--td-{name})")
    # The page sets the width and the font family.
    text = re.sub(r"<svg[^>]*>", lambda m: re.sub(r' (?:width|height)="[^"]*"', "", m[0]), text)
    text = re.sub(r' font-family: [^;"]*;| transform="rotate\(-0 [^"]*"', "", text)
    text = re.sub(r'\sd="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), text)
    return re.sub(r">\s+<", "><", text).strip()


def _axes(height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(_WIDTH, height))
    # Room at the edges: the layout was measured with a font that is not the page's.
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06)
    return figure, [figure.add_subplot(1, columns, i + 1) for i in range(columns)]


def _number(value: Any) -> float | None:
    """The value as a float that an axis can show, or None."""
    if isinstance(value, (bool, str)):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < 1e12 else None


def _rows(value: Any, keys: Sequence[str]) -> list[tuple[float, ...]]:
    """The rows of a list of mappings in which every key has a finite number."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    rows = ([_number(row.get(key)) for key in keys] for row in value if isinstance(row, Mapping))
    return [tuple(n for n in row if n is not None) for row in rows if None not in row]


def _cells(value: Any) -> list[str] | None:
    """A mask: lines of equal length, of 0 and 1; else None."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        return None
    lines = [line for line in value if isinstance(line, str) and line and not line.strip("01")]
    is_mask = len(lines) == len(value) and len(set(map(len, lines))) == 1
    return lines if is_mask else None


def _most_wrong(wrong: int, most: str) -> str:
    return most if wrong == 1 else f"{most}, and {wrong - 1} more"


def _rates(figures: Mapping[str, Any]) -> _Drawn | None:
    """The error of the rate at each p, with its interval."""
    rows = _rows(figures["rates"], ("p", "expected", "rate", "low", "high"))
    if not rows:
        return None
    wrong = [row for row in rows if min(row[1:3]) < row[3] or max(row[1:3]) > row[4]]
    if wrong:
        p, expected, rate, _, _ = max(wrong, key=_relative_error)
        most = f"At p={p:g} a fraction of {rate:.5g} is dropped, expected {expected:.5g}"
        title = _most_wrong(len(wrong), most)
    else:
        title = "The measured rate agrees with p " + (
            f"at all {len(rows)} p" if len(rows) > 1 else f"at p={rows[0][0]:g}"
        )
    alt = f"{title}. " + "; ".join(
        f"p={p:g}: measured {rate:.6g}, interval {low:.6g} to {high:.6g}, expected {expected:.6g}"
        for p, expected, rate, low, high in rows
    )

    figure, (ax,) = _axes(1.0 + 0.25 * len(rows))
    ax.axvline(0, color=_INK, lw=1)
    for y, row in enumerate(rows):
        _, expected, rate, low, high = row
        unit = _deviation(expected)
        colour = _WRONG if row in wrong else _SEEN
        ends = [(end - expected) / unit for end in (low, high)]
        ax.plot(ends, [y, y], color=colour, lw=2.5, alpha=0.45, solid_capstyle="round")
        ax.plot([(rate - expected) / unit], [y], "o", color=colour, ms=5)
        ax.text(1.02, y, f"{rate:.5g}", transform=ax.get_yaxis_transform(), va="center",
                color=_WRONG if row in wrong else _INK)  # fmt: skip
    ax.text(1.02, -0.9, "measured", transform=ax.get_yaxis_transform(), va="center", color=_DIM)
    ax.text(0, -0.9, "expected", ha="center", va="center", color=_DIM)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    reach = max(abs(end) for end in ax.get_xlim())
    ax.set_xlim(-reach, reach)
    ax.set_yticks(range(len(rows)), [f"p = {row[0]:.3g}" for row in rows])
    ax.locator_params(axis="x", nbins=5)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("error of the rate, in standard deviations\nof one element")
    return title, alt, figure


def _deviation(p: float) -> float:
    """The standard deviation of one mask bit, or 1 if nothing is random."""
    return math.sqrt(p * (1 - p)) if 0 < p < 1 else 1.0


def _relative_error(row: tuple[float, ...]) -> float:
    return abs(row[2] - row[1]) / _deviation(row[1])


def _places(figures: Mapping[str, Any]) -> _Drawn | None:
    """The rate in each place, as stems from the expected rate."""
    value = figures["places"]
    expected, limit = _number(figures.get("expected")), _number(figures.get("limit"))
    if not isinstance(value, Sequence) or isinstance(value, str) or None in (expected, limit):
        return None
    assert expected is not None and limit is not None  # noqa: PT018
    rates = [(i, rate) for i, rate in enumerate(map(_number, value)) if rate is not None]
    if len(rates) < 2:
        return None
    wrong = [(i, rate) for i, rate in rates if abs(rate - expected) > limit]
    worst, off = max(rates, key=lambda row: abs(row[1] - expected))
    if wrong:
        most = f"Place {worst} of {len(value)} drops {off:.4g}, expected {expected:.4g}"
        title = _most_wrong(len(wrong), most)
    else:
        title = f"Every place modulo {len(value)} drops at the expected rate"
    alt = (
        f"{title}. The rate of dropped elements in {len(rates)} places lies between "
        f"{min(r for _, r in rates):.5g} and {max(r for _, r in rates):.5g}; expected "
        f"{expected:.5g}, farther than {limit:.2g} from it: {len(wrong)}."
    )

    figure, (ax,) = _axes(2.4)
    ax.axhspan(expected - limit, expected + limit, color=_BAND, lw=0)
    _stems(ax, [row for row in rates if row not in wrong], expected, _SEEN)
    _stems(ax, wrong, expected, _WRONG)
    ax.axhline(expected, color=_INK, lw=1)
    _room(ax, [rate for _, rate in rates], expected, limit)
    ax.set_xlim(-2, len(value) + 1)
    ax.xaxis.set_major_locator(FixedLocator(range(0, len(value) + 1, max(1, len(value) // 4))))
    _say(ax, f"expected {expected:.4g} ± {limit:.2g}")
    ax.set_xlabel(f"place: index of the element modulo {len(value)}")
    ax.set_ylabel("rate of dropped elements")
    return title, alt, figure


def _lags(figures: Mapping[str, Any]) -> _Drawn | None:
    """The correlation at each lag, as stems from zero, and the limits of random variation."""
    rows = [row for row in _rows(figures["lags"], ("lag", "correlation", "limit")) if row[0] > 0]
    if not rows:
        return None
    wrong = [row for row in rows if abs(row[1]) > row[2]]
    lag, correlation, limit = max(rows, key=lambda row: abs(row[1]) / (row[2] or 1.0))
    if wrong:
        most = f"Elements {lag:g} apart are correlated by {correlation:.3g}, expected 0"
        title = _most_wrong(len(wrong), most)
    else:
        title = f"No correlation at any of {len(rows)} lags"
    alt = (
        f"{title}. Expected 0 at every lag from {min(row[0] for row in rows):g} to "
        f"{max(row[0] for row in rows):g}; the largest against its limit is {correlation:.2g} at "
        f"lag {lag:g}, limit {limit:.2g}."
    )

    figure, (ax,) = _axes(2.4)
    rows.sort()
    edges = [row[0] for row in rows]
    limits = [row[2] for row in rows]
    low = [-limit for limit in limits]
    ax.fill_between(edges, low, limits, color=_BAND, lw=0)
    for chosen, colour in (([r for r in rows if r not in wrong], _SEEN), (wrong, _WRONG)):
        _stems(ax, [(row[0], row[1]) for row in chosen], 0.0, colour)
        ax.plot([r[0] for r in chosen], [r[1] for r in chosen], "o", color=colour, ms=3.5)
    ax.axhline(0, color=_INK, lw=1)
    _room(ax, [row[1] for row in rows], 0.0, max(limits))
    ax.set_xscale("log")
    ticks = [t for t in (1, 16, 256, 4096, 65536, 1 << 20) if t <= 2 * edges[-1]]
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set_xlim(edges[0] / 1.4, edges[-1] * 1.4)
    _say(ax, f"expected 0 ± {max(limits):.2g}")
    ax.set_xlabel("lag, in elements")
    ax.set_ylabel("correlation of two mask bits")
    return title, alt, figure


def _stems(ax: Axes, points: Sequence[tuple[float, float]], foot: float, colour: str) -> None:
    """One path for all stems: one element each would make the page large."""
    if points:
        corners = [corner for x, y in points for corner in ((x, foot), (x, y))]
        codes = [Path.MOVETO, Path.LINETO] * len(points)
        ax.add_patch(PathPatch(Path(corners, codes), fill=False, edgecolor=colour, lw=1.1))


def _room(ax: Axes, values: Sequence[float], centre: float, limit: float) -> None:
    """The same room above and below the expected value, and space for a line of text."""
    reach = max([limit, *(abs(value - centre) for value in values)]) or 1.0
    ax.set_ylim(centre - 1.15 * reach, centre + 1.45 * reach)


def _say(ax: Axes, text: str) -> None:
    ax.text(0.99, 0.985, text, transform=ax.transAxes, ha="right", va="top", color=_DIM)


def _mask(figures: Mapping[str, Any]) -> _Drawn | None:
    """Where a call dropped."""
    lines = _cells(figures["mask"])
    if lines is None:
        return None
    size = len(lines) * len(lines[0])
    dropped = "".join(lines).count("0")
    p = _number(figures.get("p"))
    expected = "" if p is None else f", expected {100 * p:.4g} %"
    title = f"One call drops {dropped} of {size} elements: {100 * dropped / size:.3g} %{expected}"
    alt = f"{title}. A map of {len(lines)} rows and {len(lines[0])} columns of the mask."
    figure, (ax,) = _axes(3.2)
    _map(ax, lines)
    ax.set_xlabel("column")
    ax.set_ylabel("row")
    ax.legend(
        handles=[
            Patch(color=_SEEN, lw=0, label="dropped"),
            Patch(color=_PALE, lw=0, label="kept"),
        ],
        loc="upper left",
        bbox_to_anchor=(1.03, 1),
        borderaxespad=0,
        frameon=False,
        handlelength=0.8,
        handleheight=0.8,
    )
    return title, alt, figure


def _grad(figures: Mapping[str, Any]) -> _Drawn | None:
    """The mask of the output next to the mask of the gradient."""
    value = figures["picture"]
    if not isinstance(value, Mapping):
        return None
    forward, gradient = _cells(value.get("forward")), _cells(value.get("gradient"))
    if forward is None or gradient is None or list(map(len, forward)) != list(map(len, gradient)):
        return None
    size = len(forward) * len(forward[0])
    differ = {
        (row, column)
        for row, (ours, theirs) in enumerate(zip(forward, gradient, strict=True))
        for column, (a, b) in enumerate(zip(ours, theirs, strict=True))
        if a != b
    }
    title = (
        f"The gradient has a different mask from forward in {len(differ)} of {size} places, "
        "expected 0"
        if differ
        else f"The gradient has the mask of forward in all {size} places"
    )
    alt = (
        f"{title}. Two maps of {len(forward)} rows and {len(forward[0])} columns: forward drops "
        f"{''.join(forward).count('0')}, the gradient is zero at {''.join(gradient).count('0')}."
    )
    figure, axes = _axes(2.5, columns=2)
    for ax, lines, name in zip(axes, (forward, gradient), ("forward", "gradient"), strict=True):
        _map(ax, lines)
        ax.set_title(name, fontsize=9, color=_INK)
        ax.set_xlabel("column")
    axes[0].set_ylabel("row")
    if differ:
        frame = _squares(sorted(differ), 0.0)
        axes[1].add_patch(PathPatch(frame, fill=False, edgecolor=_WRONG, lw=1.3))
    return title, alt, figure


def _map(ax: Axes, lines: Sequence[str]) -> None:
    """One square per place: dark where dropped, pale where kept."""
    for bit, colour in (("0", _SEEN), ("1", _PALE)):
        places = [(r, c) for r, line in enumerate(lines) for c, b in enumerate(line) if b == bit]
        if places:
            ax.add_patch(PathPatch(_squares(places, 0.06), facecolor=colour, lw=0))
    ax.set_xlim(0, len(lines[0]))
    ax.set_ylim(len(lines), 0)
    ax.set_aspect("equal")
    for axis, count in ((ax.xaxis, len(lines[0])), (ax.yaxis, len(lines))):
        axis.set_major_locator(FixedLocator(range(0, count + 1, max(1, count // 4))))
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)


def _squares(places: Sequence[tuple[int, int]], gap: float) -> Path:
    corners: list[tuple[float, float]] = []
    for row, column in places:
        left, top, right, low = column + gap, row + gap, column + 1 - gap, row + 1 - gap
        corners += [(left, top), (right, top), (right, low), (left, low), (left, top)]
    codes = [Path.MOVETO, *[Path.LINETO] * 3, Path.CLOSEPOLY] * len(places)
    return Path(corners, codes)


_DRAWERS: Mapping[str, Callable[[Mapping[str, Any]], _Drawn | None]] = {
    "rates": _rates,
    "places": _places,
    "lags": _lags,
    "mask": _mask,
    "picture": _grad,
}
