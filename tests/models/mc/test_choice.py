"""Which sites are chosen, and their rates."""

import pytest

from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.models.mc._choice import check_choice, is_chosen, patterns_of, rates_of
from torchdropout.models.scope import SiteId
from torchdropout.models.scope._watch import Draw

A, B, C = SiteId("a.0", 0), SiteId("a.1", 0), SiteId("b", 0)


def sites(*ids, unrated=()):
    return {
        id: (Draw("dropout", 0.5, (), len, None, rated=id not in unrated), (2, 3)) for id in ids
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, []), ("a*", ["a*"]), ("", [""]), ([], []), (("a", "b"), ["a", "b"]), ({"a"}, ["a"])],
)
def test_patterns(value, expected):
    assert patterns_of("include", value) == expected


@pytest.mark.parametrize("value", [3, [3], ["a", None], True, b"a"])
def test_what_is_not_a_pattern(value):
    with pytest.raises(ArgumentTypeError, match="`include` to be a pattern of paths, or several"):
        patterns_of("include", value)


@pytest.mark.parametrize("p", [None, 0.5, 1, {}, {"a*": 0.0, "b": 1.0}])
def test_arguments_that_are_right(p):
    check_choice(None, "a", p)


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (None, [], ["a.0", "a.1", "b"]),
        ([], [], []),
        (["a*"], [], ["a.0", "a.1"]),
        (["A*"], [], []),
        (["a.0", "b"], ["b"], ["a.0"]),
        (None, ["a.?"], ["b"]),
    ],
)
def test_the_paths_that_are_chosen(include, exclude, expected):
    assert [path for path in ("a.0", "a.1", "b") if is_chosen(path, include, exclude)] == expected


@pytest.mark.parametrize(
    ("include", "exclude", "p", "expected"),
    [
        (None, [], None, {A: None, B: None, C: None}),
        (["a*"], [], None, {A: None, B: None}),
        (None, ["a.0"], 0.3, {B: 0.3, C: 0.3}),
        (None, [], {"a*": 0.1, "a.1": 0.2}, {A: 0.1, B: 0.2, C: None}),
        (None, [], {"a.1": 0.2, "a*": 0.1}, {A: 0.1, B: 0.1, C: None}),
        (["off", "b"], [], None, {C: None}),  # a path that draws in another mode
        (["b"], [], {"a*": 0.1}, {C: None}),
    ],
)
def test_the_last_pattern_that_fits_gives_the_rate(include, exclude, p, expected):
    assert rates_of(sites(A, B, C), include, exclude, p, {"a.0", "a.1", "b", "off"}) == expected


@pytest.mark.parametrize(
    ("include", "exclude", "p", "message"),
    [
        (["c"], [], None, r"`include` to be patterns of paths that draw \(a.0, a.1, b, off\)"),
        (None, ["c"], None, r"`exclude` to be patterns of paths that draw \(a.0, a.1, b, off\)"),
        (None, [], {"off": 0.5}, r"`p` to be patterns of paths that draw \(a.0, a.1, b\), got p="),
        (None, [], {"a*": 1.5}, r"`p` to be in \[0, 1\]"),
        (["off"], [], None, r"leave a site that draws, got include=\['off'\] and exclude=\[\]"),
        (None, ["*"], None, "leave a site that draws"),
        (None, [], {"b": 0.5}, r"sites that take a rate, got p=0.5 for b #0 \(dropout\), whose"),
    ],
)
def test_a_choice_that_does_not_fit(include, exclude, p, message):
    found = sites(A, B, C, unrated=[C])
    with pytest.raises(ArgumentValueError, match=message):
        rates_of(found, include, exclude, p, {"a.0", "a.1", "b", "off"})


def test_a_site_that_takes_no_rate_may_have_its_own():
    assert rates_of(sites(A, C, unrated=[C]), None, [], {"a*": 0.1}, set()) == {A: 0.1, C: None}


def test_without_sites():
    assert rates_of({}, None, [], None, {"off"}) == {}
    assert rates_of({}, ["off"], [], None, {"off"}) == {}
    with pytest.raises(ArgumentValueError, match=r"that draw \(none\), got include='a'"):
        rates_of({}, ["a"], [], None, set())
