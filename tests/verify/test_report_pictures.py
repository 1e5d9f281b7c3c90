import re
from xml.etree import ElementTree as ET

import matplotlib
import numpy as np
import pytest
from matplotlib.patches import PathPatch

from torchdropout.verify.report import pictures
from torchdropout.verify.report.pictures import draw
from verify import _reports as r

NAMES = ("seen", "fail", "band", "pale", "ink")
SEEN, WRONG, BAND, PALE, INK = (f"var(--td-{name})" for name in NAMES)


def drawn(figures, status="ok"):
    return draw(r.check(status, figures=figures), "id")


def paths(picture, colour):
    """The `d` of the paths in that colour, those inside `<defs>` aside."""
    root = ET.fromstring(picture.svg)
    inside = {id(path) for defs in root.iter("defs") for path in defs.iter("path")}
    return [
        path.get("d")
        for path in root.iter("path")
        if colour in path.get("style", "") and id(path) not in inside
    ]


def points(path):
    """The corners of a path."""
    pairs = re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", path)
    return [(float(x), float(y)) for x, y in pairs]


def strokes(picture, colour):
    """How many lines or squares there are in that colour."""
    return sum(path.count("M") for path in paths(picture, colour))


# figures, the title they must have
TITLES = {
    "rates": (r.rates(), "The measured rate agrees with p at all 4 p"),
    "one rate": ({"rates": r.rates()["rates"][2:3]}, "The measured rate agrees with p at p=0.5"),
    "a rate off": (
        r.rates(**{"p0.1": 0.005}),
        "At p=0.1 a fraction of 0.105 is dropped, expected 0.1",
    ),
    "two rates off": (
        r.rates(**{"p0.1": 0.005, "p0.5": -0.1}),
        "At p=0.5 a fraction of 0.4 is dropped, expected 0.5, and 1 more",
    ),
    "places": (r.places(), "Every place modulo 256 drops at the expected rate"),
    "a place off": (r.places(_255=0.52), "Place 255 of 256 drops 0.52, expected 0.5"),
    "three places off": (
        r.places(_1=0.52, _2=0.4, _3=0.51),
        "Place 2 of 256 drops 0.4, expected 0.5, and 2 more",
    ),
    "lags": (r.lags(), "No correlation at any of 23 lags"),
    "a lag off": (r.lags(l4=-0.25), "Elements 4 apart are correlated by -0.25, expected 0"),
    "mask": (r.MASK, "One call drops 512 of 1024 elements: 50 %, expected 50 %"),
    "mask without p": (
        {"mask": ["0111", "1111"]},
        "One call drops 1 of 8 elements: 12.5 %",
    ),
    "gradient": (r.masks(), "The gradient has the mask of forward in all 256 places"),
    "gradient off": (
        r.masks((3, 4), (9, 9)),
        "The gradient has a different mask from forward in 2 of 256 places, expected 0",
    ),
}


# key of the figures, the axes and what is expected, as the drawing names them
SAID = {
    "rates": {
        "error of the rate, in standard deviations",
        "of one element",
        "expected",
        "measured",
    },
    "places": {
        "place: index of the element modulo 256",
        "rate of dropped elements",
        "expected 0.5 \N{PLUS-MINUS SIGN} 0.002",
    },
    "lags": {
        "lag, in elements",
        *("1", "16", "256", "4096", "65536"),
        "correlation of two mask bits",
        "expected 0 \N{PLUS-MINUS SIGN} 0.003",
    },
    "mask": {"row", "column", "dropped", "kept"},
    "picture": {"row", "column", "forward", "gradient"},
}


@pytest.mark.parametrize(("figures", "title"), TITLES.values(), ids=TITLES)
def test_the_title_states_the_finding_and_the_drawing_takes_the_colours_of_the_page(figures, title):
    picture = drawn(figures)
    assert picture.title == title
    assert picture.alt.startswith(f"{title}. ")
    assert len(picture.alt) > len(title) + 40

    svg = picture.svg
    root = ET.fromstring(svg)
    assert root.tag == "svg"
    width, height = map(float, root.get("viewBox").split()[2:])
    if "rates" not in figures:  # which has a row for each
        assert 1.3 < width / height < 1.8
    assert not {"width", "height"} & set(root.attrib)
    assert not re.search(r"#[0-9a-f]{6}\b|\b(?:black|white)\b|<image|http|<!|<\?", svg)
    assert "font-family" not in svg
    assert SAID[next(iter(figures))] <= {element.text for element in root.iter("text")}


def test_ids_begin_with_the_prefix_and_the_same_figures_give_the_same_drawing():
    for figures in (r.lags(l4=0.25), r.masks()):
        check = r.check("ok", figures=figures)
        first, second = draw(check, "a"), draw(check, "b")
        assert first == draw(check, "a")
        assert set(re.findall(r'id="(\w)-', first.svg)) <= {"a"}
        assert len(re.findall(r'\sid="', first.svg)) == len(re.findall(r'\sid="a-', first.svg))
        assert second.svg == re.sub(r'(id="|href="#|url\(#)a-', r"\1b-", first.svg)


def test_the_users_matplotlib_is_left_alone_and_not_followed():
    before = drawn(r.rates())
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "text.usetex": True}):
        mine = dict(matplotlib.rcParams)
        assert drawn(r.rates()) == before
        assert dict(matplotlib.rcParams) == mine


@pytest.mark.parametrize("dropped", [0, 1, 200, 1024])
def test_a_mask_has_a_square_a_place(dropped):
    bits = "0" * dropped + "1" * (1024 - dropped)
    picture = drawn({"mask": [bits[i : i + 32] for i in range(0, 1024, 32)]})
    legend = 1
    assert strokes(picture, SEEN) == dropped + legend
    assert strokes(picture, PALE) == 1024 - dropped + legend


def test_a_square_stands_where_its_place_is():
    def corner(row, column):
        lines = [["1"] * 8 for _ in range(8)]
        lines[row][column] = "0"
        return points(paths(drawn({"mask": ["".join(line) for line in lines]}), SEEN)[0])[0]

    (x0, y0), (x1, y1), (x2, y2) = corner(0, 0), corner(0, 7), corner(7, 0)
    assert x1 - x0 == pytest.approx(y2 - y0, rel=0.01)
    assert x1 - x0 > 50
    assert (y1, x2) == (pytest.approx(y0, abs=0.02), pytest.approx(x0, abs=0.02))


def test_differing_places_are_framed_in_the_gradient():
    picture = drawn(r.masks((3, 4), (9, 9), (15, 0)))
    assert strokes(picture, WRONG) == 3
    assert strokes(drawn(r.masks()), WRONG) == 0


def test_places_and_lags_outside_their_limits_have_another_colour():
    picture = drawn(r.places(_1=0.52, _2=0.4))
    assert (strokes(picture, WRONG), strokes(picture, SEEN)) == (2, 254)
    assert len(paths(picture, BAND)) == 1
    picture = drawn(r.lags(l4=0.25))
    assert strokes(picture, WRONG) == 1
    assert strokes(picture, SEEN) == 22


@pytest.mark.parametrize(
    "figures", [r.rates(), r.places(), r.lags()], ids=["rates", "places", "lags"]
)
def test_a_line_marks_what_is_expected(figures):
    lines = [points(path) for path in paths(drawn(figures), INK)]
    assert any(len({x for x, _ in line}) == 1 or len({y for _, y in line}) == 1 for line in lines)


def test_the_first_and_the_last_lag_are_within_the_axes():
    picture = drawn(r.lags())
    places = [x for path in paths(picture, SEEN) for x, _ in points(path)]
    (zero,) = [points(p) for p in paths(picture, INK) if len({y for _, y in points(p)}) == 1]
    (left, _), (right, _) = zero
    assert left + 2 < min(places) < left + 20
    assert right - 20 < max(places) < right - 2


def test_a_stem_is_as_high_as_its_deviation():
    heights = []
    for rate in (0.6, 0.4):
        stem = paths(drawn(r.places(_9=rate, _10=0.7, _11=0.3)), WRONG)[0]
        (_, foot), (_, top) = points(stem)[:2]
        heights.append(foot - top)
    assert heights[0] > 10
    assert heights[1] == pytest.approx(-heights[0], rel=0.01)


NAN, INF = float("nan"), float("inf")
GARBAGE = [
    None, 3, "", "rates", [], {}, [None], [[]], [{}], ["0"], ["01", "0"], ["02"], [NAN, INF], [1],
    [{"p": 1}], [{"p": NAN, "expected": 1, "rate": 1, "n": 1, "low": 1, "high": 1}],
    [{"lag": 0, "correlation": 0, "limit": 0}], [{"lag": 1, "correlation": INF, "limit": 1}],
    {"forward": ["0"]}, {"forward": ["0"], "gradient": ["01"]}, {"forward": 1, "gradient": "1"},
    [10**400, -(10**400)], [1e300, -1e300], [True, False],
]  # fmt: skip


@pytest.mark.parametrize("key", ["rates", "places", "lags", "mask", "picture"])
def test_figures_that_hold_no_picture_draw_none(key):
    for garbage in GARBAGE:
        figures = {key: garbage, "expected": 0.5, "limit": 0.1}
        if (key, garbage) == ("mask", ["0"]):
            continue  # a mask of one element
        assert drawn(figures) is None, garbage
    assert drawn({}) is None


@pytest.mark.parametrize(("expected", "limit"), [(NAN, 0.1), (0.5, INF), (None, 0.1), ("x", "y")])
def test_places_need_what_was_expected(expected, limit):
    assert drawn({"places": [0.5, 0.5], "expected": expected, "limit": limit}) is None


def test_rows_that_are_not_finite_are_left_out_of_a_picture():
    figures = r.rates()
    figures["rates"][0]["rate"] = NAN
    assert drawn(figures).title == "The measured rate agrees with p at all 3 p"
    figures = r.places(_3=NAN)
    assert strokes(drawn(figures), SEEN) == 255


# figures at the edges of what is finite
EDGES = [
    {"rates": [{"p": p, "expected": p, "rate": p, "n": 1, "low": p, "high": p} for p in (0, 1)]},
    {"places": [0.0, 0.0], "expected": 0.0, "limit": 0.0},
    {"places": [1e11, -1e11], "expected": 0.5, "limit": 1e-9},
    {"lags": [{"lag": 1, "correlation": 0.0, "limit": 0.0}]},
    {"lags": [{"lag": 1e-9, "correlation": 1.0, "limit": 1e-11}]},
    {"mask": ["0"]},
    {"mask": ["0" * 300]},
]


@pytest.mark.parametrize("figures", EDGES)
def test_figures_at_the_edges_are_drawn(figures):
    assert ET.fromstring(drawn(figures).svg).tag == "svg"


# The parts of a drawing


def figure_of(figures):
    """Alternative text and axes of a drawing, before it is an SVG."""
    (key,) = pictures._DRAWERS.keys() & figures.keys()
    with matplotlib.style.context(["default", pictures._STYLE]):
        _, alt, figure = pictures._DRAWERS[key](figures)
        figure.draw_without_rendering()
    return alt, figure


def lines_of(ax):
    """Colour, width, opacity, marker with its size, and points of each line."""
    return [
        (
            *(line.get_color(), line.get_linewidth(), line.get_alpha()),
            (line.get_marker(), line.get_markersize()) if line.get_marker() != "None" else None,
            [(round(float(x), 4), round(float(y), 4)) for x, y in line.get_xydata()],
        )
        for line in ax.get_lines()
    ]


def texts_of(ax):
    """Text, place, alignment and colour of each text within the axes."""
    return {
        text.get_text(): (*text.get_position(), text.get_ha(), text.get_va(), text.get_color())
        for text in ax.texts
    }


def stems_of(ax):
    """Colour, width and corners of each path of stems or squares."""
    return [
        (patch.get_edgecolor(), patch.get_linewidth(), patch.get_path().vertices.tolist())
        for patch in ax.patches
        if isinstance(patch, PathPatch)
    ]


def rgba(colour):
    return matplotlib.colors.to_rgba(colour)


def test_a_drawing_of_rates():
    right = {"p": 0.5, "expected": 0.5, "rate": 0.5, "low": 0.49, "high": 0.51}
    wrong = {"p": 0.1, "expected": 0.1, "rate": 0.19, "low": 0.13, "high": 0.22}
    alt, figure = figure_of({"rates": [right, wrong]})
    assert alt == (
        "At p=0.1 a fraction of 0.19 is dropped, expected 0.1. "
        "p=0.5: measured 0.5, interval 0.49 to 0.51, expected 0.5; "
        "p=0.1: measured 0.19, interval 0.13 to 0.22, expected 0.1"
    )
    assert figure.get_size_inches().tolist() == [4.2, 1.5]
    (ax,) = figure.axes
    # In standard deviations of a bit: 0.5 and 0.3.
    assert lines_of(ax) == [
        (pictures._INK, 1, None, None, [(0, 0), (0, 1)]),
        (pictures._SEEN, 2.5, 0.45, None, [(-0.02, 0), (0.02, 0)]),
        (pictures._SEEN, 1.5, None, ("o", 5), [(0, 0)]),
        (pictures._WRONG, 2.5, 0.45, None, [(0.1, 1), (0.4, 1)]),
        (pictures._WRONG, 1.5, None, ("o", 5), [(0.3, 1)]),
    ]
    assert texts_of(ax) == {
        "0.5": (1.02, 0, "left", "center", pictures._INK),
        "0.19": (1.02, 1, "left", "center", pictures._WRONG),
        "measured": (1.02, -0.9, "left", "center", pictures._DIM),
        "expected": (0, -0.9, "center", "center", pictures._DIM),
    }
    assert ax.get_ylim() == (1.6, -0.6)
    left, right = ax.get_xlim()
    assert -left == right > 0.4
    assert [label.get_text() for label in ax.get_yticklabels()] == ["p = 0.5", "p = 0.1"]
    assert ax.get_yticks().tolist() == [0, 1]
    assert len([tick for tick in ax.get_xticks() if left <= tick <= right]) <= 6
    assert ax.yaxis.get_tick_params()["length"] == 0
    assert [side for side, spine in ax.spines.items() if spine.get_visible()] == ["bottom"]


@pytest.mark.parametrize(
    ("rate", "low", "high", "is_wrong"),
    [
        (0.5, 0.5, 0.6, False),
        (0.5, 0.4, 0.5, False),
        (0.5, 0.51, 0.6, True),
        (0.5, 0.4, 0.49, True),
        (0.6, 0.5, 0.6, False),
        (0.6, 0.4, 0.59, True),  # the rate lies outside of its own interval
        (0.4, 0.41, 0.6, True),
    ],
)
def test_a_rate_is_wrong_if_its_interval_does_not_hold_what_is_expected(rate, low, high, is_wrong):
    row = {"p": 0.5, "expected": 0.5, "rate": rate, "low": low, "high": high}
    assert drawn({"rates": [row]}).title.startswith("At p=0.5") is is_wrong


# The rate that is expected need not be p; the other row is 0.2 deviations off.
@pytest.mark.parametrize(("rate", "is_worst"), [(0.17, True), (0.12, False)])
def test_the_worst_rate_is_the_farthest_in_its_own_deviations(rate, is_worst):
    rows = [
        {"p": 0.5, "expected": 0.5, "rate": 0.6, "low": 0.59, "high": 0.61},
        {"p": 0.6, "expected": 0.1, "rate": rate, "low": rate - 0.01, "high": rate + 0.01},
    ]
    assert drawn({"rates": rows}).title.startswith("At p=0.6" if is_worst else "At p=0.5")


def test_the_deviation_of_a_bit_is_one_where_nothing_is_random():
    assert [pictures._deviation(p) for p in (0, 0.5, 0.1, 1)] == [1, 0.5, pytest.approx(0.3), 1]


def test_a_drawing_of_places():
    alt, figure = figure_of(
        {"places": [0.5, 0.5625, None, 0.375, 0.53125], "expected": 0.5, "limit": 0.0625}
    )
    assert alt == (
        "Place 3 of 5 drops 0.375, expected 0.5. The rate of dropped elements in 4 places lies "
        "between 0.375 and 0.5625; expected 0.5, farther than 0.062 from it: 1."
    )
    assert figure.get_size_inches().tolist() == [4.2, 2.4]
    (ax,) = figure.axes
    band = ax.patches[0]
    assert (band.get_y(), band.get_height()) == (0.4375, 0.125)
    assert (band.get_facecolor(), band.get_linewidth()) == (rgba(pictures._BAND), 0)
    assert stems_of(ax) == [
        (rgba(pictures._SEEN), 1.1,
         [[0, 0.5], [0, 0.5], [1, 0.5], [1, 0.5625], [4, 0.5], [4, 0.53125]]),
        (rgba(pictures._WRONG), 1.1, [[3, 0.5], [3, 0.375]]),
    ]  # fmt: skip
    assert lines_of(ax) == [(pictures._INK, 1, None, None, [(0, 0.5), (1, 0.5)])]
    # The largest deviation is 0.125.
    assert ax.get_ylim() == (pytest.approx(0.35625), pytest.approx(0.68125))
    assert ax.get_xlim() == (-2, 6)
    # Some room at the edges of 4.2 by 2.4 inches, for a font that is wider than the one measured.
    assert figure.get_tightbbox().extents[1:] == pytest.approx([0.06, 4.12, 2.34], abs=0.03)
    assert ax.get_xticks().tolist() == [0, 1, 2, 3, 4, 5]
    said = texts_of(ax)["expected 0.5 \N{PLUS-MINUS SIGN} 0.062"]
    assert said == (0.99, 0.985, "right", "top", pictures._DIM)


def test_there_is_room_where_nothing_deviates_and_no_limit_is_known():
    _, figure = figure_of({"places": [0.0, 0.0], "expected": 0.0, "limit": 0.0})
    assert figure.axes[0].get_ylim() == (-1.15, 1.45)


def test_text_is_small_and_axes_have_no_frame():
    _, figure = figure_of(r.places())
    (ax,) = figure.axes
    sizes = {text.get_fontsize() for text in (ax.xaxis.label, ax.yaxis.label, *ax.texts)}
    assert sizes == {9}
    assert {label.get_fontsize() for label in ax.get_xticklabels()} == {9}
    assert [side for side, spine in ax.spines.items() if spine.get_visible()] == ["left", "bottom"]
    assert ax.yaxis.get_major_formatter().get_useOffset() is False
    assert (ax.xaxis.label.get_color(), ax.get_facecolor()[3]) == (pictures._DIM, 0)


def test_places_are_two_or_more_and_every_quarter_has_a_tick():
    def places(count):
        return {"places": [0.5] * count, "expected": 0.5, "limit": 0.02}

    assert drawn(places(1)) is None
    for count, ticks in ((2, [0, 1, 2]), (256, [0, 64, 128, 192, 256])):
        _, figure = figure_of(places(count))
        (ax,) = figure.axes
        assert ax.get_xticks().tolist() == ticks
        # Nothing deviates: the limit makes the room.
        assert ax.get_ylim() == (pytest.approx(0.477), pytest.approx(0.529))


def test_a_drawing_of_lags():
    rows = [
        {"lag": 16, "correlation": -0.2, "limit": 0.1},
        {"lag": 1, "correlation": 0.05, "limit": 0.1},
        {"lag": 8, "correlation": 0.1, "limit": 0.1},
        {"lag": 2, "correlation": 0.12, "limit": 0.05},
        {"lag": 0, "correlation": 9, "limit": 0.1},
    ]
    alt, figure = figure_of({"lags": rows})
    assert alt == (
        "Elements 2 apart are correlated by 0.12, expected 0, and 1 more. Expected 0 at every lag "
        "from 1 to 16; the largest against its limit is 0.12 at lag 2, limit 0.05."
    )
    assert figure.get_size_inches().tolist() == [4.2, 2.4]
    (ax,) = figure.axes
    assert stems_of(ax) == [
        (rgba(pictures._SEEN), 1.1, [[1, 0], [1, 0.05], [8, 0], [8, 0.1]]),
        (rgba(pictures._WRONG), 1.1, [[16, 0], [16, -0.2], [2, 0], [2, 0.12]]),
    ]
    assert lines_of(ax) == [
        (pictures._SEEN, 1.5, None, ("o", 3.5), [(1, 0.05), (8, 0.1)]),
        (pictures._WRONG, 1.5, None, ("o", 3.5), [(16, -0.2), (2, 0.12)]),
        (pictures._INK, 1, None, None, [(0, 0), (1, 0)]),
    ]
    (band,) = ax.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.tolist()}
    assert corners == {
        (lag, sign * limit)
        for lag, limit in ((1, 0.1), (2, 0.05), (8, 0.1), (16, 0.1))
        for sign in (1, -1)
    }
    assert band.get_linewidth().tolist() == [0]
    assert ax.get_ylim() == (pytest.approx(-0.23), pytest.approx(0.29))
    assert ax.get_xlim() == (pytest.approx(1 / 1.4), pytest.approx(16 * 1.4))
    assert ax.get_xscale() == "log"
    assert ax.get_xticks().tolist() == [1, 16]
    assert ax.xaxis.get_minorticklocs().tolist() == []
    assert "expected 0 \N{PLUS-MINUS SIGN} 0.1" in texts_of(ax)


@pytest.mark.parametrize(
    ("last", "ticks"),
    [
        (7, [1]),
        (8, [1, 16]),
        (1 << 15, [1, 16, 256, 4096, 65536]),
        (1 << 19, [1, 16, 256, 4096, 65536, 1 << 20]),
    ],
)
def test_a_tick_may_be_twice_the_last_lag(last, ticks):
    rows = [{"lag": lag, "correlation": 0.05, "limit": 0.1} for lag in (1, last)]
    _, figure = figure_of({"lags": rows})
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == list(map(str, ticks))


def test_a_lag_without_a_limit_is_compared_by_its_size():
    pairs = ((1, 0.5, 0.0), (2, -0.7, 0.0), (4, 0.6, 1.0))
    rows = [{"lag": lag, "correlation": c, "limit": limit} for lag, c, limit in pairs]
    assert drawn({"lags": rows}).title.startswith("Elements 2 apart are correlated by -0.7")


def test_a_drawing_of_a_mask():
    alt, figure = figure_of({"mask": ["0111", "1110"], "p": 0.25})
    assert alt == (
        "One call drops 2 of 8 elements: 25 %, expected 25 %. "
        "A map of 2 rows and 4 columns of the mask."
    )
    assert figure.get_size_inches().tolist() == [4.2, 3.2]
    (ax,) = figure.axes
    dropped, kept = (patch for patch in ax.patches if isinstance(patch, PathPatch))
    assert dropped.get_facecolor() == rgba(pictures._SEEN)
    assert kept.get_facecolor() == rgba(pictures._PALE)
    assert dropped.get_linewidth() == kept.get_linewidth() == 0
    corners = dropped.get_path().vertices
    assert corners[:5] == pytest.approx(
        np.array([[0.06, 0.06], [0.94, 0.06], [0.94, 0.94], [0.06, 0.94], [0.06, 0.06]])
    )
    assert corners[5:] == pytest.approx(corners[:5] + [3, 1])
    assert dropped.get_path().codes.tolist() == [1, 2, 2, 2, 79] * 2
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 4), (2, 0))
    assert ax.get_aspect() == 1
    assert ax.get_xticks().tolist() == [0, 1, 2, 3, 4]
    assert ax.get_yticks().tolist() == [0, 1, 2]
    assert not any(spine.get_visible() for spine in ax.spines.values())
    assert {axis.get_tick_params()["length"] for axis in (ax.xaxis, ax.yaxis)} == {0}
    legend = ax.get_legend()
    shown = [
        (handle.get_facecolor(), handle.get_linewidth(), text.get_text())
        for handle, text in zip(legend.get_patches(), legend.get_texts(), strict=True)
    ]
    assert shown == [(rgba(pictures._SEEN), 0, "dropped"), (rgba(pictures._PALE), 0, "kept")]
    assert legend.get_frame_on() is False
    assert (legend.handlelength, legend.handleheight, legend.borderaxespad) == (0.8, 0.8, 0)
    anchor = legend.get_bbox_to_anchor().transformed(ax.transAxes.inverted())
    assert (anchor.x0, anchor.y0) == (pytest.approx(1.03), pytest.approx(1))


def test_a_map_has_a_tick_at_every_quarter():
    _, figure = figure_of({"mask": ["01" * 16] * 8})
    assert figure.axes[0].get_xticks().tolist() == [0, 8, 16, 24, 32]
    assert figure.axes[0].get_yticks().tolist() == [0, 2, 4, 6, 8]


def test_a_drawing_of_a_gradient():
    alt, figure = figure_of({"picture": {"forward": ["0111"] * 2, "gradient": ["0111", "1001"]}})
    assert alt == (
        "The gradient has a different mask from forward in 3 of 8 places, expected 0. "
        "Two maps of 2 rows and 4 columns: forward drops 2, the gradient is zero at 3."
    )
    assert figure.get_size_inches().tolist() == [4.2, 2.5]
    left, right = figure.axes
    assert [ax.get_title() for ax in (left, right)] == ["forward", "gradient"]
    assert {ax.title.get_fontsize() for ax in (left, right)} == {9}
    assert {ax.title.get_color() for ax in (left, right)} == {pictures._INK}
    assert (left.get_ylabel(), right.get_ylabel()) == ("row", "")
    frame = right.patches[-1]
    assert (frame.get_edgecolor(), frame.get_linewidth()) == (rgba(pictures._WRONG), 1.3)
    assert frame.get_fill() is False
    assert [corner.tolist() for corner in frame.get_path().vertices[::5]] == [
        [0, 1],
        [1, 1],
        [2, 1],
    ]
    assert len(left.patches) == 2


@pytest.mark.parametrize(
    ("value", "number"),
    [(True, None), ("1", None), (None, None), (1e12, None), (-1e12, None), (NAN, None),
     (9e11, 9e11), (1e12 - 0.5, 1e12 - 0.5), (-9e11, -9e11), (3, 3.0), (np.float32(0.5), 0.5)],
)  # fmt: skip
def test_the_numbers_that_an_axis_can_show(value, number):
    assert pictures._number(value) == number


def test_an_svg_has_short_numbers_and_neither_metadata_nor_names_of_xml():
    svg = drawn(r.lags(l4=0.25)).svg
    for path in re.findall(r'\sd="[^"]*"', svg):
        assert not re.search(r"\.\d{3}", path)
        assert re.search(r"\.\d", path)
    for word in ("xmlns", "version=", "xlink", "metadata", "<style", "rotate(-0 ", "> <", ">\n<"):
        assert word not in svg
    assert svg == svg.strip()
    unused = [name for name in re.findall(r'\sid="([^"]*)"', svg) if svg.count(f"#{name}") == 0]
    assert unused == []
