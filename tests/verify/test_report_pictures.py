import re
from xml.etree import ElementTree as ET

import matplotlib
import pytest

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


def strokes(picture, colour):
    """How many lines or squares there are in that colour."""
    return sum(path.count("M") for path in paths(picture, colour))


# figures, the title they must have
TITLES = {
    "rates": (r.rates(), "The measured rate agrees with p at all 4 p"),
    "one rate": ({"rates": r.rates()["rates"][2:3]}, "The measured rate agrees with p at p=0.5"),
    "two rates off": (
        r.rates(**{"p0.1": 0.005, "p0.5": -0.1}),
        "At p=0.5 a fraction of 0.4 is dropped, expected 0.5, and 1 more",
    ),
    "places": (r.places(), "Every place modulo 256 drops at the expected rate"),
    "three places off": (
        r.places(_1=0.52, _2=0.4, _3=0.51),
        "Place 2 of 256 drops 0.4, expected 0.5, and 2 more",
    ),
    "a place off": (r.places(_255=0.52), "Place 255 of 256 drops 0.52, expected 0.5"),
    "lags": (r.lags(), "No correlation at any of 23 lags"),
    "a lag off": (r.lags(l4=-0.25), "Elements 4 apart are correlated by -0.25, expected 0"),
    "mask": (r.MASK, "One call drops 512 of 1024 elements: 50 %, expected 50 %"),
    "mask without p": ({"mask": ["0111", "1111"]}, "One call drops 1 of 8 elements: 12.5 %"),
    "gradient": (r.masks(), "The gradient has the mask of forward in all 256 places"),
    "gradient off": (
        r.masks((3, 4), (9, 9)),
        "The gradient has a different mask from forward in 2 of 256 places, expected 0",
    ),
}


# The axes, and what is expected, as a drawing of these figures names them.
SAID = {
    "rates": {"error of the rate, in standard deviations", "expected", "measured"},
    "places": {"place: index of the element modulo 256", "rate of dropped elements"},
    "lags": {"lag, in elements", "65536", "correlation of two mask bits"},
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
    assert not {"width", "height"} & set(root.attrib)
    assert not re.search(r"#[0-9a-f]{6}\b|\b(?:black|white)\b|<image|http|<!|<\?", svg)
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


@pytest.mark.parametrize("dropped", [0, 200])
def test_a_mask_has_a_square_a_place(dropped):
    bits = "0" * dropped + "1" * (256 - dropped)
    picture = drawn({"mask": [bits[i : i + 32] for i in range(0, 256, 32)]})
    legend = 1
    assert strokes(picture, SEEN) == dropped + legend
    assert strokes(picture, PALE) == 256 - dropped + legend


def test_places_and_lags_outside_their_limits_have_another_colour():
    picture = drawn(r.places(_1=0.52, _2=0.4))
    assert (strokes(picture, WRONG), strokes(picture, SEEN)) == (2, 254)
    assert len(paths(picture, BAND)) == 1
    picture = drawn(r.lags(l4=0.25))
    assert strokes(picture, WRONG) == 1
    assert strokes(picture, SEEN) == 22


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
    for expected, limit in [(NAN, 0.1), (0.5, INF), (None, 0.1), ("x", "y")]:
        assert drawn({"places": [0.5, 0.5], "expected": expected, "limit": limit}) is None


def test_rows_that_are_not_finite_are_left_out_and_those_at_the_edges_drawn():
    figures = r.rates()
    figures["rates"][0]["rate"] = NAN
    assert drawn(figures).title == "The measured rate agrees with p at all 3 p"
    assert strokes(drawn(r.places(_3=NAN)), SEEN) == 255
    sure = [{"p": p, "expected": p, "rate": p, "n": 1, "low": p, "high": p} for p in (0, 1)]
    for figures in (
        {"rates": sure},
        {"places": [0.0, 0.0], "expected": 0.0, "limit": 0.0},
        {"places": [1e11, -1e11], "expected": 0.5, "limit": 1e-9},
        {"lags": [{"lag": 1e-9, "correlation": 1.0, "limit": 1e-11}]},
        {"mask": ["0" * 300]},
    ):
        assert ET.fromstring(drawn(figures).svg).tag == "svg"
